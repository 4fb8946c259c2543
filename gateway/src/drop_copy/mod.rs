//! Drop copies: the executions of a firm's sessions, on a session of its own.
//!
//! A copy is the owner's ExecutionReport (35=8) with whose it is behind it. From FIX.4.4 on it has CopyMsgIndicator
//! (797=Y), from FIX.4.3 on the parties are a group, before that the owner is ClientID (109). From FIX.5.0SP1 on (and
//! from FIX.4.2 on in our dictionaries) ApplID (1180) is the firm, ApplSeqNum (1181) the sequence of the event in the
//! journal, by which a client asks for copies again with ApplicationMessageRequest (35=BW); those carry ApplResendFlag
//! (1352=Y).

use crate::config::GatewayConfig;
use crate::fix::{MessageWriter, Precision, Version};
use crate::orders::{Orders, Report, StatusAnswer, write_cancel_reject, write_execution, write_mass_cancel};
use protocol::AccountId;

/// Tags of drop copies and their replay.
pub(crate) mod tags {
    pub(crate) const CLIENT_ID: u32 = 109;
    pub(crate) const PARTY_ID_SOURCE: u32 = 447;
    pub(crate) const PARTY_ID: u32 = 448;
    pub(crate) const PARTY_ROLE: u32 = 452;
    pub(crate) const NO_PARTY_IDS: u32 = 453;
    pub(crate) const COPY_MSG_INDICATOR: u32 = 797;
    pub(crate) const APPL_ID: u32 = 1180;
    pub(crate) const APPL_SEQ_NUM: u32 = 1181;
    pub(crate) const APPL_BEG_SEQ_NUM: u32 = 1182;
    pub(crate) const APPL_END_SEQ_NUM: u32 = 1183;
    pub(crate) const APPL_REQ_ID: u32 = 1346;
    pub(crate) const APPL_REQ_TYPE: u32 = 1347;
    pub(crate) const APPL_RESPONSE_TYPE: u32 = 1348;
    pub(crate) const NO_APPL_IDS: u32 = 1351;
    pub(crate) const APPL_RESEND_FLAG: u32 = 1352;
    pub(crate) const APPL_RESP_ID: u32 = 1353;
    pub(crate) const REF_APPL_ID: u32 = 1355;
    pub(crate) const APPL_REPORT_ID: u32 = 1356;
    pub(crate) const REF_APPL_LAST_SEQ_NUM: u32 = 1357;
    pub(crate) const APPL_REPORT_TYPE: u32 = 1426;
}

/// PartyRole (452) of the firm: executing firm.
const EXECUTING_FIRM: u64 = 1;
/// PartyRole (452) of the session's CompID: order origination trader.
const ORIGINATION_TRADER: u64 = 11;
/// PartyRole (452) of the account: customer account.
const CUSTOMER_ACCOUNT: u64 = 24;

/// Whose a session is.
struct Owner {
    comp_id: String,
    firm: Option<String>,
    account: AccountId,
    /// Of the times that it is sent.
    precision: Precision,
}

/// Whose the sessions of a gateway are.
pub(crate) struct Owners(Vec<Owner>);

/// What a copy says besides the report.
#[derive(Clone, Copy)]
pub(crate) struct Copied<'a> {
    comp_id: &'a str,
    firm: &'a str,
    account: AccountId,
    /// Of the event.
    sequence: u64,
    replayed: bool,
}

impl Owners {
    pub(crate) fn of(config: &GatewayConfig) -> Self {
        let owners = config.users.iter().map(|user| Owner {
            comp_id: user.sender_comp_id.clone(),
            firm: user.access.firm.clone(),
            account: user.account,
            precision: user.session.precision,
        });
        Self(owners.collect())
    }

    /// The firm of a session; empty if it has none.
    pub(crate) fn firm(&self, session: usize) -> &str {
        self.0[session].firm.as_deref().unwrap_or_default()
    }

    /// Digits of a second in the times that a session is sent.
    pub(crate) fn precision(&self, session: usize) -> Precision {
        self.0[session].precision
    }

    /// What a copy of this report says, whose event has this sequence.
    pub(crate) fn copied(&self, report: &Report, sequence: u64, replayed: bool) -> Copied<'_> {
        let session = report.session();
        let Owner { comp_id, account, .. } = &self.0[session];
        Copied { comp_id, firm: self.firm(session), account: *account, sequence, replayed }
    }
}

/// MsgType (35) of a report.
pub(crate) fn message_type(report: &Report) -> &'static [u8] {
    match report {
        Report::Execution(_) => b"8",
        Report::CancelReject(_) => b"9",
        Report::MassCancel(_) => b"r",
    }
}

/// Writes all of a report behind the header: the only place, so that what is made again is what was sent.
pub(crate) fn write_report(
    writer: &mut MessageWriter<'_>,
    orders: &Orders,
    report: &Report,
    copied: Option<&Copied<'_>>,
) {
    match report {
        Report::Execution(body) => {
            write_execution(writer, orders, body, StatusAnswer::default());
        }
        Report::CancelReject(body) => write_cancel_reject(writer, body),
        Report::MassCancel(body) => write_mass_cancel(writer, &orders.catalog, body),
    }
    if let Some(copied) = copied {
        write_copied(writer, copied);
    }
}

/// Whether a version has the application sequence of a copy.
pub(crate) fn has_application_sequence(version: Version) -> bool {
    version >= Version::Fix42
}

fn write_party_role(writer: &mut MessageWriter<'_>, role: u64) {
    // D: a code of our own.
    writer.bytes(tags::PARTY_ID_SOURCE, b"D");
    writer.integer(tags::PARTY_ROLE, role);
}

fn write_copied(writer: &mut MessageWriter<'_>, copied: &Copied<'_>) {
    let version = writer.version();
    if version < Version::Fix43 {
        writer.bytes(tags::CLIENT_ID, copied.comp_id.as_bytes());
    } else {
        // FIX.4.3 has no role for the account yet, which is Account (1) as well.
        let has_account = version > Version::Fix43;
        writer.integer(tags::NO_PARTY_IDS, 2 + u64::from(has_account));
        for (id, role) in [(copied.firm, EXECUTING_FIRM), (copied.comp_id, ORIGINATION_TRADER)] {
            writer.bytes(tags::PARTY_ID, id.as_bytes());
            write_party_role(writer, role);
        }
        if has_account {
            writer.integer(tags::PARTY_ID, u64::from(copied.account.0));
            write_party_role(writer, CUSTOMER_ACCOUNT);
        }
    }
    if version >= Version::Fix44 {
        writer.bytes(tags::COPY_MSG_INDICATOR, b"Y");
    }
    if has_application_sequence(version) {
        writer.bytes(tags::APPL_ID, copied.firm.as_bytes());
        writer.integer(tags::APPL_SEQ_NUM, copied.sequence);
        if copied.replayed {
            writer.bytes(tags::APPL_RESEND_FLAG, b"Y");
        }
    }
}
