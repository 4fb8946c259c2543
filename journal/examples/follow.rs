//! Prints the records of a stream and goes on with what is written: `cargo run -p journal --example follow -- FOLDER [SEQ]`,
//! where FOLDER is the `commands` or `events` folder of a data folder. A program of its own, beside a running exchange.

use journal::StreamReader;
use std::path::Path;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let mut reader = StreamReader::open_mapped(Path::new(&folder))?;
    let identity = reader.identity();
    println!("{:?} of the machine '{}'", identity.kind, identity.machine);
    if let Some(sequence) = arguments.next() {
        reader.seek(sequence.parse()?)?;
    }
    loop {
        while let Some(record) = reader.next()? {
            let header = record.header();
            println!(
                "{} kind {} at {} ns, {} bytes",
                header.sequence,
                header.kind,
                header.timestamp_ns,
                record.body().len()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
