//! Mass cancels that a client asks for.

use super::{CommandPort, Gateway};
use crate::access::Permissions;
use crate::fix::Message;
use crate::orders::{Refusal, parse_mass_cancel, write_local_mass_cancel_reject};

impl Gateway {
    /// Number of this gateway and of a client's session in the source of commands.
    pub(super) fn source_of(&self, client: usize) -> (u16, u16) {
        (self.config.gateway, client as u16 + 1)
    }

    pub(super) fn on_mass_cancel(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        let user = &self.config.users[client];
        let asker = (user.account, user.access.permissions.has(Permissions::ADMIN));
        match parse_mass_cancel(message, &self.orders.catalog, asker, self.source_of(client)) {
            Ok(request) => self.send(client, request, true, port),
            Err(refusal) => {
                self.refuse_mass_cancel(client, message, refusal, now_ns);
                true
            }
        }
    }

    pub(super) fn refuse_mass_cancel(
        &mut self,
        client: usize,
        message: &Message<'_>,
        refusal: Refusal,
        now_ns: u64,
    ) {
        self.counters.reports += 1;
        self.remember_refused(client, message);
        let id = self.exec_id(now_ns);
        self.clients[client].session.send_application(b"r", now_ns, &mut self.store, |writer| {
            write_local_mass_cancel_reject(writer, message, &id, refusal, now_ns);
        });
    }
}
