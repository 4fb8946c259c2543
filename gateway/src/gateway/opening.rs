//! Opening a gateway from its session store and newest checkpoint, and leaving a checkpoint for the next one.

use std::io;

use super::activity::Activity;
use super::client::Client;
use super::drop_copy::DropCopies;
use super::{Gateway, GatewayCounters, GatewayError};
use crate::access::{
    Attempts, ChangedPasswords, FirmThrottles, InlineVerifier, LogonGuard, Throttle, Verifier,
};
use crate::config::GatewayConfig;
use crate::drop_copy::Owners;
use crate::fix::FieldIndex;
use crate::market::Market;
use crate::rebuild::checkpoint::{Checkpoint, Purpose};
use crate::rebuild::{
    Checkpoints, EventSource, InlineRebuilder, JournalEvents, Rebuilder, ThreadRebuilder, Worker,
};
use crate::session::Session;
use crate::store::{Store, StoreLimits};

impl Gateway {
    /// Checks the configuration and opens the session store. Passwords are checked and reports made again on the
    /// caller's thread.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub fn open(config: GatewayConfig) -> Result<Self, GatewayError> {
        let events = config.events_path.clone().map(|path| Box::new(JournalEvents::new(path)) as Box<_>);
        Self::open_with(config, Box::new(InlineVerifier::default()), events, &mut |worker| {
            Ok(Box::new(InlineRebuilder::new(worker)))
        })
    }

    /// The same; reports are made again from `events`, wherever they are.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub fn open_on(config: GatewayConfig, events: Box<dyn EventSource>) -> Result<Self, GatewayError> {
        Self::open_with(config, Box::new(InlineVerifier::default()), Some(events), &mut |worker| {
            Ok(Box::new(InlineRebuilder::new(worker)))
        })
    }

    /// The same; passwords are checked by `verifier`, and reports made again on a thread of their own.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub fn open_threaded(config: GatewayConfig, verifier: Box<dyn Verifier>) -> Result<Self, GatewayError> {
        let events = config.events_path.clone().map(|path| Box::new(JournalEvents::new(path)) as Box<_>);
        Self::open_with(config, verifier, events, &mut |worker| Ok(Box::new(ThreadRebuilder::start(worker)?)))
    }

    fn open_with(
        mut config: GatewayConfig,
        verifier: Box<dyn Verifier>,
        events: Option<Box<dyn EventSource>>,
        rebuilder: &mut dyn FnMut(Worker) -> io::Result<Box<dyn Rebuilder>>,
    ) -> Result<Self, GatewayError> {
        config.validate()?;
        let configured_passwords = config.users.iter().map(|user| user.password.clone()).collect();
        let changed_passwords = take_changed_passwords(&mut config)?;
        // Without orders there are no reports.
        let events = events.filter(|_| config.order_entry);
        let names: Vec<&str> = config.users.iter().map(|user| user.sender_comp_id.as_str()).collect();
        let limits = &config.limits;
        let kept = StoreLimits {
            messages: limits.resend_messages,
            kept_bytes: limits.kept_bytes,
            file_bytes: limits.store_bytes,
            recent_bytes: if events.is_some() { limits.recent_bytes } else { 0 },
            free_bytes: limits.free_bytes,
        };
        let mut store = Store::open(&config.store_path, config.gateway, &names, kept)?;
        let rebuilds = events.is_some();
        let base = match events {
            Some(events) => start_rebuilding(&config, &mut store, events, rebuilder)?,
            None => beginning(&config),
        };
        let clients = clients_of(&config, &store);
        let guard = guard_of(&config, &store);
        let by_comp_id =
            names.iter().enumerate().map(|(index, name)| (name.as_bytes().to_vec(), index)).collect();
        Ok(Self {
            clients,
            by_comp_id,
            orders: base.orders,
            market: config.market.clone().map(Market::new),
            store,
            links: Vec::new(),
            index: FieldIndex::new(),
            counters: GatewayCounters::default(),
            local_reports: 0,
            applied: base.sequence,
            applied_ns: base.timestamp_ns,
            journal_end: base.sequence,
            owners: Owners::of(&config),
            drop_copies: DropCopies::new(&config),
            rebuilds,
            current: None,
            shutting_down: false,
            now_ns: 0,
            verifier,
            next_ticket: 0,
            guard,
            attempts: Attempts::default(),
            abandoned: Vec::new(),
            firms: config.firm_throttles.clone().unwrap_or_else(|| FirmThrottles::new(&config.firms)),
            configured_passwords,
            changed_passwords,
            changes: Vec::new(),
            activity: Activity::default(),
            config,
        })
    }

    /// The journal ends at this sequence, whether events up to there have been shown or are in the checkpoint already.
    pub fn journal_ends_at(&mut self, sequence: u64) {
        self.journal_end = sequence;
    }

    /// Ends the work beside the gateway and writes a checkpoint, so that the next start needs only the events after
    /// it. Without it the next start takes longer, and that is all.
    pub fn finish(&mut self) {
        self.store.close_rebuilder();
        // After an error from the disk nothing more is written.
        if !self.rebuilds || self.current.is_some() || self.store.commit(self.applied, true).is_err() {
            return;
        }
        let mut checkpoints = Checkpoints::list(&self.config.checkpoint_folder(), purpose(&self.config));
        let far = checkpoints.newest() < Some(self.applied);
        if far && let Err(error) = checkpoints.write(&self.orders, self.applied, self.applied_ns) {
            self.store.note(format!("the gateway's last checkpoint cannot be written: {error}"));
        }
    }
}

/// One for each user, as the store knows it.
fn clients_of(config: &GatewayConfig, store: &Store) -> Vec<Client> {
    let sessions = config.users.iter().enumerate();
    sessions
        .map(|(index, user)| {
            let (ours, theirs) = (&config.target_comp_id, &user.sender_comp_id);
            let session = Session::new(index, ours, theirs, &user.session, &config.limits, store);
            let firm = user.access.firm.as_ref();
            let firm = firm.and_then(|firm| config.firms.keys().position(|name| name == firm));
            Client::new(session, Throttle::new(&user.access.throttle), firm)
        })
        .collect()
}

/// The guard that this port shares, or one of its own; signatures that were used before the restart stay used.
fn guard_of(config: &GatewayConfig, store: &Store) -> LogonGuard {
    let guard = config.logon_guard.clone().unwrap_or_else(|| LogonGuard::new(&config.limits));
    for client in 0..config.users.len() {
        guard.use_signature(client, store.signed_ns(client));
    }
    guard
}

/// Gives the users the passwords that they have changed to.
fn take_changed_passwords(config: &mut GatewayConfig) -> io::Result<Option<ChangedPasswords>> {
    let changed = config.passwords_path.as_deref().map(ChangedPasswords::open).transpose()?;
    if let Some(changed) = &changed {
        for user in &mut config.users {
            let name = &user.sender_comp_id;
            user.password = user.password.as_ref().map(|password| changed.current(name, password));
        }
    }
    Ok(changed)
}

/// Before the first event.
fn beginning(config: &GatewayConfig) -> Checkpoint {
    Checkpoint { orders: purpose(config).no_orders(), sequence: 0, timestamp_ns: 0 }
}

/// Gives the store a rebuilder; where the gateway itself starts from.
fn start_rebuilding(
    config: &GatewayConfig,
    store: &mut Store,
    events: Box<dyn EventSource>,
    rebuilder: &mut dyn FnMut(Worker) -> io::Result<Box<dyn Rebuilder>>,
) -> io::Result<Checkpoint> {
    let checkpoints = Checkpoints::list(&config.checkpoint_folder(), purpose(config));
    let spacing = config.limits.checkpoint_commands;
    let mut worker = Worker::new(events, checkpoints, Owners::of(config), spacing);
    let newest = worker.newest_checkpoint(store.applied());
    store.rebuild_with(rebuilder(worker)?);
    Ok(newest.unwrap_or_else(|| beginning(config)))
}

/// What the gateway's checkpoints are for.
fn purpose(config: &GatewayConfig) -> Purpose {
    Purpose {
        gateway: config.gateway,
        accounts: config.users.iter().map(|user| user.account).collect(),
        done_orders: config.limits.done_orders,
    }
}
