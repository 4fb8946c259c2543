//! What the tests of this crate share.
#![allow(dead_code, missing_docs, reason = "each test binary uses its own part")]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use machine::{Context, EventBuffer, HEADER_LENGTH, Record, StateHasher, StateMachine, stride};
use sequencer::{Durability, Pipeline, PipelineConfig, PipelineError, RingPlace, RingSizes};

pub const COMMAND: u16 = 1;
pub const EVENT: u16 = 0x8001;

/// Longest body that the machine echoes; longer ones are cut.
const MAX_ECHO: usize = 1024;

/// Counts commands and folds their bodies into a sum. A command's first byte says how many events it gives, 1 to 8;
/// each carries the count and the body.
#[derive(Default)]
pub struct Tally {
    pub count: u64,
    pub sum: u64,
}

impl StateMachine for Tally {
    const NAME: &'static str = "tally";

    fn apply(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        let body = command.body();
        self.count += 1;
        for byte in body {
            self.sum = self.sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
        self.sum ^= context.timestamp_ns;
        let times = body.first().map_or(1, |byte| (byte % 8) + 1);
        let mut event = [0; 8 + MAX_ECHO];
        event[..8].copy_from_slice(&self.count.to_le_bytes());
        let length = body.len().min(MAX_ECHO);
        event[8..8 + length].copy_from_slice(&body[..length]);
        for _ in 0..times {
            events.push_bytes(EVENT, 1, &event[..8 + length]);
        }
    }

    fn state_hash(&self) -> u64 {
        let mut hasher = StateHasher::new();
        hasher.write_value(&[self.count, self.sum]);
        hasher.finish()
    }

    fn max_event_bytes(&self) -> usize {
        8 * stride(HEADER_LENGTH + 8 + MAX_ECHO)
    }
}

/// Small rings and segments.
pub fn config(durability: Durability) -> PipelineConfig {
    let mut config = PipelineConfig {
        durability,
        ring_place: RingPlace::Anonymous,
        ring_sizes: RingSizes { ingress: 128 << 10, commands: 128 << 10, events: 128 << 10 },
        ..PipelineConfig::default()
    };
    for options in [&mut config.commands, &mut config.events] {
        options.segment_bytes = 4 << 20;
        options.reserve_bytes = 0;
    }
    config
}

pub fn open(folder: &Path, config: PipelineConfig) -> Result<Pipeline<Tally>, PipelineError> {
    Pipeline::open(folder, config, Tally::default(), &mut |_| (), &mut |_| ())
}

/// Runs one test function of this test binary in a process of its own, with `argument` in its environment.
pub fn spawn_child(test: &str, argument: &Path) -> Child {
    spawn_child_with(test, argument, Stdio::inherit())
}

/// The same with its standard error elsewhere.
pub fn spawn_child_with(test: &str, argument: &Path, stderr: Stdio) -> Child {
    Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD_ARGUMENT, argument)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("the test binary can be started")
}

const CHILD_ARGUMENT: &str = "RIALTO_TEST_CHILD";

/// In the child: its argument. In the parent: nothing.
pub fn child_argument() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD_ARGUMENT).map(Into::into)
}
