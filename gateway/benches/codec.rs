//! Decoding, checking and encoding single messages.
//!
//! `cargo bench -p gateway --bench codec`. The order is the 173-byte NewOrderSingle that the figures in `docs/fix.md`
//! are about.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::dictionary::{Checker, RememberingChecker, Switches};
use gateway::fix::{FieldIndex, Frame, MessageWriter, Version, find_frame, tags};

/// A NewOrderSingle of 173 bytes.
fn order(version: Version) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut writer = MessageWriter::begin(&mut buffer, version, b"D");
    let fields: [(u32, &[u8]); 13] = [
        (34, b"12345"),
        (49, b"CLIENT"),
        (52, b"20240229-12:34:56.789"),
        (56, b"RIALTO"),
        (11, b"ORDER-123456"),
        (21, b"1"),
        (38, b"100"),
        (40, b"2"),
        (44, b"65000.01"),
        (54, b"1"),
        (55, b"BTC/USD"),
        (59, b"0"),
        (60, b"20240229-12:34:56.789"),
    ];
    fields.iter().for_each(|&(tag, value)| writer.bytes(tag, value));
    writer.finish();
    buffer
}

fn decode(criterion: &mut Criterion) {
    for version in [Version::Fix42, Version::Fix44, Version::Fix50Sp2] {
        let bytes = order(version);
        assert!(version.is_fixt() || bytes.len() == 173, "{} bytes", bytes.len());
        let mut index = FieldIndex::new();
        let (checker, switches) = (Checker::new(version), Switches::default());
        assert_eq!(checker.check(&index.parse(&bytes).expect("a message"), &switches), None);
        criterion.bench_function(&format!("decode order {}", version.name()), |bencher| {
            bencher.iter(|| {
                let bytes = black_box(bytes.as_slice());
                assert_eq!(find_frame(bytes, 8192), Frame::Complete(bytes.len()));
                index.parse(bytes).expect("a message").fields().len()
            });
        });
        criterion.bench_function(&format!("decode and check order {}", version.name()), |bencher| {
            bencher.iter(|| {
                let bytes = black_box(bytes.as_slice());
                assert_eq!(find_frame(bytes, 8192), Frame::Complete(bytes.len()));
                let message = index.parse(bytes).expect("a message");
                assert!(checker.check(&message, &switches).is_none());
            });
        });
        let mut remembering = RememberingChecker::new(version, switches);
        criterion.bench_function(&format!("decode and check order again {}", version.name()), |bencher| {
            bencher.iter(|| {
                let bytes = black_box(bytes.as_slice());
                assert_eq!(find_frame(bytes, 8192), Frame::Complete(bytes.len()));
                let message = index.parse(bytes).expect("a message");
                assert!(remembering.check(&message).is_none());
            });
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut buffer = Vec::with_capacity(4096);
    criterion.bench_function("encode report", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            let now_ns = black_box(1_709_210_096_789_000_000);
            let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, b"8");
            writer.integer(tags::MSG_SEQ_NUM, black_box(123_456));
            writer.bytes(tags::SENDER_COMP_ID, b"RIALTO");
            writer.time(tags::SENDING_TIME, now_ns);
            writer.bytes(tags::TARGET_COMP_ID, b"CLIENT01");
            for (tag, value) in
                [(6, "0"), (11, "ORDER-000123456"), (14, "0"), (17, "1234567-0"), (37, "1234567-12")]
            {
                writer.bytes(tag, value.as_bytes());
            }
            for (tag, value) in
                [(38, "100"), (39, "0"), (40, "2"), (44, "65000.01"), (54, "1"), (55, "BTC/USD")]
            {
                writer.bytes(tag, value.as_bytes());
            }
            writer.time(tags::TRANSACT_TIME, now_ns);
            writer.bytes(tags::EXEC_TYPE, b"0");
            writer.bytes(tags::LEAVES_QTY, b"100");
            writer.finish();
            black_box(buffer.len())
        });
    });
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
