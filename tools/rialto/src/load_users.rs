//! Made-up users for measurements: `rialto serve --load-sessions` adds them, `rialto load` logs on as them.

use gateway::UserConfig;
use gateway::access::PasswordHash;
use protocol::{AccountId, CreateAccount, Name};

use crate::config::{Config, OpeningDeposit};
use crate::output::Failure;

/// Password of all of them.
pub const PASSWORD: &str = "load-secret";
/// Account of the first; the others follow.
const FIRST_ACCOUNT: u32 = 1_000;
/// Minor units of every asset that each starts with: as good as endless.
const DEPOSIT_MINOR: i64 = 1_000_000_000_000_000;

/// SenderCompID of the one with this number, from 1.
pub fn comp_id(number: u64) -> String {
    format!("LOAD{number}")
}

/// Its user name.
pub fn username(number: u64) -> String {
    format!("load{number}")
}

/// Adds so many users with their accounts, and room for their connections.
///
/// # Errors
/// When names or accounts are taken, or there are more than the tables hold.
pub fn add(config: &mut Config, count: u64) -> Result<(), Failure> {
    // The password is no secret; so its hash may be cheap, and thousands log on at once.
    let hash = PasswordHash::create(PASSWORD.as_bytes(), 8, 1).map_err(Failure::system)?;
    for number in 1..=count {
        let account = AccountId(FIRST_ACCOUNT + number as u32 - 1);
        let comp_id = comp_id(number);
        let taken = config.accounts.iter().any(|it| it.account == account)
            || config.users.iter().any(|it| it.sender_comp_id == comp_id);
        if taken {
            return Err(Failure::usage(format!(
                "--load-sessions {count}: {comp_id} or account {account} is in the configuration already"
            )));
        }
        let name = Name::from_text(&comp_id).unwrap_or_default();
        config.accounts.push(CreateAccount { account, reserved: 0, name });
        let deposits = config.assets.iter();
        config.deposits.extend(deposits.map(|it| OpeningDeposit {
            account,
            asset: it.asset,
            amount_minor: DEPOSIT_MINOR,
        }));
        config.users.push(UserConfig::new(&comp_id, &username(number), hash.clone(), account));
    }
    let accounts = (FIRST_ACCOUNT as usize + count as usize) as u64;
    let most = u64::from(config.limits.accounts);
    if accounts > most {
        return Err(Failure::usage(format!(
            "--load-sessions {count}: needs limits.accounts of {accounts} or more, it is {most}"
        )));
    }
    let limits = &mut config.gateway;
    let room = |limit: usize| limit.max(count as usize + 64);
    limits.connections = room(limits.connections);
    limits.connections_per_address = room(limits.connections_per_address);
    limits.strangers = room(limits.strangers);
    raise_file_limit();
    Ok(())
}

/// Lets the process have as many sockets as the system gives at most. Where that is too few, connections say so.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_with_accounts_money_and_room_and_not_twice() {
        let mut config = Config::load(None).unwrap();
        let (users, deposits) = (config.users.len(), config.deposits.len());
        add(&mut config, 2_000).unwrap();
        assert_eq!(config.users.len(), users + 2_000);
        assert_eq!(config.deposits.len(), deposits + 2_000 * config.assets.len());
        assert!(config.gateway.connections >= 2_000 && config.gateway.strangers >= 2_000);
        let last = config.users.last().unwrap();
        assert_eq!((last.sender_comp_id.as_str(), last.username.as_str()), ("LOAD2000", "load2000"));
        assert!(last.password.as_ref().unwrap().verify(PASSWORD.as_bytes()));
        assert!(add(&mut config, 1).unwrap_err().message.contains("LOAD1"));
        assert!(add(&mut Config::load(None).unwrap(), 60_000).is_err());
    }
}
