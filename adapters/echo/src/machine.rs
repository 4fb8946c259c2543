//! What happens: the state machine.

use machine::{
    Context, EventBuffer, HEADER_LENGTH, Record, Snapshot, SnapshotError, SnapshotReader, SnapshotWriter,
    StateHasher, StateMachine, stride,
};

use crate::messages::{
    COMMAND_ECHO, EVENT_ECHOED, EVENT_REJECTED, Echo, Echoed, MAX_TEXT_BYTES, Reason, Rejected, decode,
    encode,
};

/// Says back what it is told, and counts.
#[derive(Debug, Default)]
pub struct EchoMachine {
    count: u64,
}

impl EchoMachine {
    /// How many times anything has been said.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl StateMachine for EchoMachine {
    const NAME: &'static str = "echo";

    fn apply(&mut self, _context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        let echo = match command.header().kind {
            COMMAND_ECHO => decode::<Echo>(command.body()).ok_or(Reason::Malformed),
            _ => Err(Reason::Malformed),
        };
        match echo
            .and_then(|echo| if echo.text.len() > MAX_TEXT_BYTES { Err(Reason::TooLong) } else { Ok(echo) })
        {
            Ok(Echo { text }) => {
                self.count += 1;
                events.push_bytes(EVENT_ECHOED, 1, &encode(&Echoed { text, count: self.count }));
            }
            Err(reason) => events.push_bytes(EVENT_REJECTED, 1, &encode(&Rejected { reason })),
        }
    }

    fn state_hash(&self) -> u64 {
        let mut hasher = StateHasher::new();
        hasher.write_value(&self.count);
        hasher.finish()
    }

    fn max_event_bytes(&self) -> usize {
        // One event: a text with its length, and a count.
        stride(HEADER_LENGTH + 8 + MAX_TEXT_BYTES + 8)
    }
}

impl Snapshot for EchoMachine {
    const SNAPSHOT_VERSION: u32 = 1;

    fn write_snapshot(&self, out: &mut SnapshotWriter<'_>) {
        out.value(&self.count);
    }

    fn read_snapshot(&mut self, version: u32, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        if version != Self::SNAPSHOT_VERSION {
            return Err(SnapshotError::UnknownVersion { found: version, known: Self::SNAPSHOT_VERSION });
        }
        self.count = input.value()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::RecordBytes;

    fn say(machine: &mut EchoMachine, kind: u16, body: &[u8]) -> (u16, Vec<u8>) {
        let mut events = EventBuffer::with_capacity(machine.max_event_bytes());
        let command = RecordBytes::raw(&Context { sequence: 1, ..Context::default() }, kind, 1, body);
        machine::step(machine, command.record(), &mut events);
        let event = events.records().next().expect("every command gives an event");
        (event.header().kind, event.body().to_vec())
    }

    #[test]
    fn what_is_said_comes_back_with_a_count() {
        let mut machine = EchoMachine::default();
        for count in 1..=3 {
            let text = "again".to_owned();
            let (kind, body) = say(&mut machine, COMMAND_ECHO, &encode(&Echo { text: text.clone() }));
            assert_eq!((kind, decode(&body)), (EVENT_ECHOED, Some(Echoed { text, count })));
        }
    }

    #[test]
    fn bad_commands_are_rejected_by_name_and_change_nothing() {
        let mut machine = EchoMachine::default();
        let before = machine.state_hash();
        let longest = encode(&Echo { text: "x".repeat(MAX_TEXT_BYTES) });
        let too_long = encode(&Echo { text: "x".repeat(MAX_TEXT_BYTES + 1) });
        let cases: [(u16, &[u8], Reason); 3] = [
            (COMMAND_ECHO, b"nonsense", Reason::Malformed),
            (77, &longest, Reason::Malformed),
            (COMMAND_ECHO, &too_long, Reason::TooLong),
        ];
        for (kind, body, reason) in cases {
            let (kind, event) = say(&mut machine, kind, body);
            assert_eq!((kind, decode(&event)), (EVENT_REJECTED, Some(Rejected { reason })));
        }
        assert_eq!(machine.state_hash(), before);
        assert_eq!(say(&mut machine, COMMAND_ECHO, &longest).0, EVENT_ECHOED);
        assert_eq!(machine.count(), 1);
    }
}
