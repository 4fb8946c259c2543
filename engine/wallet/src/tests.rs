use super::*;
use RejectReason::{
    AlreadyExists, BalanceTableFull, IdOutOfRange, InsufficientFunds, InvalidAmount, InvalidParameter,
    UnknownAccount, UnknownAsset,
};

const ALICE: AccountId = AccountId(2);
const BOB: AccountId = AccountId(3);
const USD: AssetId = 1;
const BTC: AssetId = 2;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

fn asset(asset: AssetId, code: &str) -> CreateAsset {
    CreateAsset { asset, scale: 2, reserved: [0; 3], name: name(code) }
}

fn account(account: AccountId, owner: &str) -> CreateAccount {
    CreateAccount { account, reserved: 0, name: name(owner) }
}

fn wallet_with(balances: u32) -> Wallet {
    let mut wallet = Wallet::new(&Limits { assets: 4, accounts: 100, balances, ..Limits::default() });
    wallet.create_asset(&asset(USD, "USD")).unwrap();
    wallet.create_asset(&asset(BTC, "BTC")).unwrap();
    wallet.create_account(&account(ALICE, "alice")).unwrap();
    wallet.create_account(&account(BOB, "bob")).unwrap();
    wallet
}

fn wallet() -> Wallet {
    wallet_with(16)
}

fn sum_is_zero(wallet: &Wallet, asset: AssetId) -> bool {
    let others: i64 = wallet.balances().filter(|pair| pair.1 == asset).map(|pair| pair.2.balance_minor).sum();
    others + wallet.balance(AccountId::WORLD, asset).balance_minor == 0
}

fn hash(wallet: &Wallet) -> u64 {
    let mut hasher = StateHasher::new();
    wallet.hash_into(&mut hasher);
    hasher.finish()
}

#[test]
fn assets_are_refused_by_id_then_existence_then_content() {
    let mut wallet = wallet();
    assert_eq!(wallet.create_asset(&asset(0, "EUR")), Err(IdOutOfRange));
    assert_eq!(wallet.create_asset(&asset(5, "EUR")), Err(IdOutOfRange));
    assert_eq!(wallet.create_asset(&asset(u32::MAX, "EUR")), Err(IdOutOfRange));
    let bad_scale = CreateAsset { scale: 19, ..asset(USD, "USD") };
    assert_eq!(wallet.create_asset(&bad_scale), Err(AlreadyExists));
    assert_eq!(wallet.create_asset(&CreateAsset { asset: 3, ..bad_scale }), Err(InvalidParameter));
    let no_name = CreateAsset { name: Name::default(), ..asset(3, "EUR") };
    assert_eq!(wallet.create_asset(&no_name), Err(InvalidParameter));
    assert_eq!(wallet.create_asset(&CreateAsset { scale: 18, ..asset(4, "EUR") }), Ok(()));
    let codes: Vec<&str> = wallet.assets().map(|asset| asset.name.as_str()).collect();
    assert_eq!(codes, ["USD", "BTC", "EUR"]);
    assert!(!wallet.has_asset(3) && wallet.has_asset(4) && !wallet.has_asset(0));
}

#[test]
fn accounts_are_refused_by_id_then_existence_then_content() {
    let mut wallet = wallet();
    for id in [AccountId::WORLD, AccountId::FEES, AccountId(101), AccountId(u32::MAX)] {
        assert_eq!(wallet.create_account(&account(id, "eve")), Err(IdOutOfRange), "{id}");
        assert!(!wallet.is_client(id));
    }
    let no_name = CreateAccount { name: Name::default(), ..account(ALICE, "alice") };
    assert_eq!(wallet.create_account(&no_name), Err(AlreadyExists));
    let no_name = CreateAccount { account: AccountId(100), ..no_name };
    assert_eq!(wallet.create_account(&no_name), Err(InvalidParameter));
    assert_eq!(wallet.create_account(&account(AccountId(100), "eve")), Ok(()));
    let owners: Vec<(AccountId, Name)> = wallet.accounts().collect();
    assert_eq!(owners, [(ALICE, name("alice")), (BOB, name("bob")), (AccountId(100), name("eve"))]);
    assert_eq!(wallet.account_count(), 3);
}

#[test]
fn deposits_come_from_world_and_withdrawals_go_back() {
    let mut wallet = wallet();
    assert_eq!(wallet.deposit(ALICE, USD, 100), Ok(100));
    assert_eq!(wallet.deposit(ALICE, USD, 50), Ok(150));
    assert_eq!(wallet.deposit(BOB, USD, 7), Ok(7));
    assert_eq!(wallet.withdraw(ALICE, USD, 120), Ok(30));
    assert_eq!(wallet.balance(AccountId::WORLD, USD).balance_minor, -37);
    assert_eq!(wallet.balance(ALICE, BTC), Balance::default());
    assert!(sum_is_zero(&wallet, USD));
}

#[test]
fn movements_are_refused_in_the_order_of_the_reasons() {
    let mut wallet = wallet_with(1);
    for id in [AccountId::WORLD, AccountId::FEES, AccountId(4), AccountId(u32::MAX)] {
        assert_eq!(wallet.deposit(id, 9, 0), Err(UnknownAccount), "{id}");
        assert_eq!(wallet.withdraw(id, 9, 0), Err(UnknownAccount), "{id}");
    }
    for unknown in [0, 3, 5, u32::MAX] {
        assert_eq!(wallet.deposit(ALICE, unknown, 0), Err(UnknownAsset));
        assert_eq!(wallet.withdraw(ALICE, unknown, 0), Err(UnknownAsset));
    }
    for amount in [0, -1, i64::MIN, MAX_AMOUNT_MINOR + 1, i64::MAX] {
        assert_eq!(wallet.deposit(ALICE, USD, amount), Err(InvalidAmount));
        assert_eq!(wallet.withdraw(ALICE, USD, amount), Err(InvalidAmount));
    }
    assert_eq!(wallet.withdraw(ALICE, USD, 1), Err(InsufficientFunds));
    assert_eq!(wallet.balance_count(), 0);
    assert_eq!(wallet.deposit(ALICE, USD, 1), Ok(1));
    assert_eq!(wallet.deposit(ALICE, BTC, 1), Err(BalanceTableFull));
    assert_eq!(wallet.deposit(BOB, USD, MAX_AMOUNT_MINOR), Err(InvalidAmount), "the amount comes first");
    assert_eq!(wallet.deposit(BOB, USD, 1), Err(BalanceTableFull));
    assert_eq!(wallet.withdraw(ALICE, USD, 2), Err(InsufficientFunds));
    assert_eq!(wallet.balance(ALICE, USD).balance_minor, 1);
}

#[test]
fn an_assets_total_never_exceeds_the_largest_amount() {
    let mut wallet = wallet();
    assert_eq!(wallet.deposit(ALICE, USD, MAX_AMOUNT_MINOR - 5), Ok(MAX_AMOUNT_MINOR - 5));
    assert_eq!(wallet.deposit(BOB, USD, 6), Err(InvalidAmount));
    assert_eq!(wallet.deposit(BOB, USD, 5), Ok(5));
    assert_eq!(wallet.deposit(BOB, BTC, MAX_AMOUNT_MINOR), Ok(MAX_AMOUNT_MINOR));
    assert_eq!(wallet.withdraw(ALICE, USD, 10), Ok(MAX_AMOUNT_MINOR - 15));
    assert_eq!(wallet.deposit(BOB, USD, 11), Err(InvalidAmount));
    assert_eq!(wallet.deposit(BOB, USD, 10), Ok(15));
}

#[test]
fn what_is_held_can_be_neither_reserved_again_nor_withdrawn() {
    let mut wallet = wallet();
    wallet.deposit(ALICE, USD, 100).unwrap();
    let slot = wallet.find(ALICE, USD).unwrap();
    assert_eq!(wallet.reserve(slot, 101), Err(InsufficientFunds));
    assert_eq!(wallet.reserve(slot, i64::MAX), Err(InsufficientFunds));
    assert_eq!(wallet.reserve(slot, 60), Ok(()));
    assert_eq!(wallet.reserve(slot, 41), Err(InsufficientFunds));
    assert_eq!(wallet.withdraw(ALICE, USD, 41), Err(InsufficientFunds));
    assert_eq!(wallet.withdraw(ALICE, USD, 40), Ok(60));
    assert_eq!(*wallet.at(slot), Balance { balance_minor: 60, held_minor: 60 });
    wallet.release(slot, 25);
    assert_eq!(wallet.at(slot).available_minor(), 25);
}

#[test]
fn settling_uses_the_hold_and_frees_the_rest() {
    let mut wallet = wallet();
    wallet.deposit(ALICE, USD, 100).unwrap();
    let alice = wallet.find(ALICE, USD).unwrap();
    let bob = wallet.find_or_open(BOB, USD);
    let fees = wallet.find_or_open(AccountId::FEES, USD);
    wallet.reserve(alice, 80).unwrap();
    wallet.settle(alice, bob, 50, 45);
    wallet.transfer(alice, fees, 5);
    wallet.transfer(bob, fees, 1);
    assert_eq!(*wallet.at(alice), Balance { balance_minor: 50, held_minor: 30 });
    assert_eq!(*wallet.at(bob), Balance { balance_minor: 44, held_minor: 0 });
    assert_eq!(wallet.balance(AccountId::FEES, USD).balance_minor, 6);
    assert!(sum_is_zero(&wallet, USD));
}

#[test]
fn settling_with_oneself_moves_nothing_but_the_hold() {
    let mut wallet = wallet();
    wallet.deposit(ALICE, USD, 100).unwrap();
    let alice = wallet.find(ALICE, USD).unwrap();
    wallet.reserve(alice, 100).unwrap();
    wallet.settle(alice, alice, 100, 100);
    assert_eq!(*wallet.at(alice), Balance { balance_minor: 100, held_minor: 0 });
}

#[test]
fn the_hash_depends_on_balances_but_not_on_which_was_used_first() {
    let (mut one, mut two) = (wallet(), wallet());
    one.deposit(ALICE, USD, 5).unwrap();
    one.deposit(BOB, BTC, 6).unwrap();
    two.deposit(BOB, BTC, 6).unwrap();
    assert_ne!(hash(&one), hash(&two));
    two.deposit(ALICE, USD, 5).unwrap();
    assert_eq!(hash(&one), hash(&two));
    let slot = two.find(ALICE, USD).unwrap();
    two.reserve(slot, 1).unwrap();
    assert_ne!(hash(&one), hash(&two), "holds count");
    two.release(slot, 1);
    two.create_account(&account(AccountId(9), "zoe")).unwrap();
    assert_ne!(hash(&one), hash(&two), "accounts count");
}

#[test]
#[should_panic(expected = "released more than is held")]
fn releasing_more_than_is_held_stops_the_process() {
    let mut wallet = wallet();
    let slot = wallet.find_or_open(ALICE, USD);
    wallet.release(slot, 1);
}

#[test]
#[should_panic(expected = "transferred more than is available")]
fn transferring_what_is_held_stops_the_process() {
    let mut wallet = wallet();
    wallet.deposit(ALICE, USD, 10).unwrap();
    let (alice, bob) = (wallet.find(ALICE, USD).unwrap(), wallet.find_or_open(BOB, USD));
    wallet.reserve(alice, 8).unwrap();
    wallet.transfer(alice, bob, 3);
}

#[test]
#[should_panic(expected = "transferred more than is available")]
fn a_negative_transfer_stops_the_process() {
    let mut wallet = wallet();
    let (alice, bob) = (wallet.find_or_open(ALICE, USD), wallet.find_or_open(BOB, USD));
    wallet.transfer(alice, bob, -1);
}

#[test]
#[should_panic(expected = "a hold cannot be negative")]
fn a_negative_hold_stops_the_process() {
    let mut wallet = wallet();
    let slot = wallet.find_or_open(ALICE, USD);
    let _ = wallet.reserve(slot, -1);
}

#[test]
#[should_panic(expected = "the balance table is full")]
fn opening_beyond_the_table_stops_the_process() {
    let mut wallet = wallet_with(0);
    wallet.find_or_open(ALICE, USD);
}
