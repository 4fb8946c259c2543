//! Plays session scripts against the gateway and the real exchange, with a clock of their own: those in `tests/fix` and,
//! where they are at hand, QuickFIX's acceptance scripts. The language is in `tests/fix/README.md`.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use gateway::fix::{format_utc_millis, parse_utc_timestamp};
use gateway::session::{Schedule, SessionSettings};
use support::{Client, Received, SECOND_NS, World, user};

const NAMES: [&str; 8] = ["TW40", "TW41", "TW42", "TW43", "TW44", "TW50", "TW50SP1", "TW50SP2"];
/// Simulated seconds that an expected message may take.
const PATIENCE_S: u64 = 20;

type Fields = Vec<(String, String)>;

fn fields(text: &str) -> Fields {
    let pairs = text.split('|').filter(|piece| !piece.is_empty());
    pairs
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
        .map(|(a, b)| (a.into(), b.into()))
        .collect()
}

fn value<'a>(fields: &'a Fields, tag: &str) -> &'a str {
    fields.iter().find(|field| field.0 == tag).map_or("", |field| &field.1)
}

/// `# user NAME key=value ...`
fn settings(words: &str) -> SessionSettings {
    let mut settings = SessionSettings { reset_on_logon: true, ..SessionSettings::default() };
    for word in words.split_whitespace() {
        match word.split_once('=').expect("key=value") {
            ("reset_on_logon", text) => settings.reset_on_logon = text == "true",
            ("reset_on_logout", text) => settings.reset_on_logout = text == "true",
            ("reset_on_disconnect", text) => settings.reset_on_disconnect = text == "true",
            ("last_processed", text) => settings.last_processed = text == "true",
            ("resend_chunk", text) => settings.resend_chunk = text.parse().expect("a number"),
            ("schedule", text) => {
                let seconds = |text: &str| {
                    let (hours, minutes) = text.split_once(':').expect("HH:MM");
                    hours.parse::<u64>().expect("hours") * 3600
                        + minutes.parse::<u64>().expect("minutes") * 60
                };
                let (start, end) = text.split_once('-').expect("HH:MM-HH:MM");
                settings.schedule = Schedule::daily(seconds(start), seconds(end));
            }
            other => panic!("no setting {other:?}"),
        }
    }
    settings
}

fn world(script: &str) -> World {
    let special: BTreeMap<&str, SessionSettings> = script
        .lines()
        .filter_map(|line| line.strip_prefix("# user ")?.split_once(' '))
        .map(|(name, words)| (name, settings(words)))
        .collect();
    World::with_config(|config| {
        config.target_comp_id = "ISLD".to_owned();
        let users = NAMES.iter().zip(2..).map(|(name, account)| {
            let mut user = user(name, account);
            user.session = special.get(name).cloned().unwrap_or_else(|| settings(""));
            user
        });
        config.users = users.collect();
    })
}

struct Player {
    world: World,
    connections: BTreeMap<u32, (Client, VecDeque<Received>)>,
}

impl Player {
    fn time(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("<TIME") {
            let (offset, after) = after.split_once('>').expect("<TIME...>");
            let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().expect("seconds") };
            let now_ns = self.world.now_ns.saturating_add_signed(offset * SECOND_NS as i64);
            out.push_str(before);
            out.push_str(&String::from_utf8_lossy(&format_utc_millis(now_ns)[..17]));
            rest = after;
        }
        out + rest
    }

    /// BodyLength and CheckSum where the script leaves them out; user name and password in a Logon.
    fn outgoing(&self, body: &str) -> Vec<u8> {
        let mut text = self.time(body).replace('|', "\x01");
        if !text.starts_with("8=") {
            return text.into_bytes();
        }
        let given = fields(body);
        if value(&given, "35") == "A" {
            let name = value(&given, "49");
            text.push_str(&format!("553={}\x01554={name}-secret\x01", name.to_lowercase()));
        }
        if value(&given, "9").is_empty() {
            let (begin, rest) = text.split_once('\x01').expect("BeginString");
            let length = rest
                .split("\x0110=")
                .next()
                .map_or(0, |body| body.len() + usize::from(rest.contains("\x0110=")));
            text = format!("{begin}\x019={length}\x01{rest}");
        }
        if value(&given, "10").is_empty() {
            let sum: u32 = text.bytes().map(u32::from).sum();
            text.push_str(&format!("10={:03}\x01", sum % 256));
        }
        text.into_bytes()
    }

    fn collect(&mut self) {
        self.world.settle();
        for (client, received) in self.connections.values_mut() {
            received.extend(self.world.take(client));
        }
    }

    fn wait_for(
        &mut self,
        connection: u32,
        done: impl Fn(&Client, &VecDeque<Received>) -> bool,
    ) -> Result<(), String> {
        for second in 0..=PATIENCE_S {
            let (client, received) = self.connections.get(&connection).ok_or("no such connection")?;
            if done(client, received) {
                return Ok(());
            }
            if second < PATIENCE_S && client.closed.is_none() {
                self.world.now_ns += SECOND_NS;
                self.collect();
            }
        }
        let (client, received) = &self.connections[&connection];
        Err(format!("waited in vain; closed: {:?}, received: {received:?}", client.closed))
    }

    fn step(&mut self, line: &str) -> Result<(), String> {
        if let Some(seconds) = line.strip_prefix('W') {
            self.world.now_ns += seconds.parse::<u64>().map_err(|error| error.to_string())? * SECOND_NS;
            self.collect();
            return Ok(());
        }
        let (kind, rest) = line.split_at(1);
        let (connection, rest) = match rest.split_once(',') {
            Some((number, rest))
                if number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty() =>
            {
                (number.parse().map_err(|_| "a connection's number")?, rest)
            }
            _ => (1, rest),
        };
        match (kind, rest) {
            ("i", "CONNECT") => {
                let client = self.world.connect("client");
                self.connections.insert(connection, (client, VecDeque::new()));
            }
            ("i", "DISCONNECT") => {
                let (mut client, _) = self.connections.remove(&connection).ok_or("not connected")?;
                self.world.drop_link(&mut client);
            }
            ("e", "DISCONNECT") => {
                self.wait_for(connection, |client, _| client.closed.is_some())?;
                let (_, received) = self.connections.remove(&connection).ok_or("not connected")?;
                if !received.is_empty() {
                    return Err(format!("not expected: {received:?}"));
                }
            }
            ("I", body) => {
                let bytes = self.outgoing(body);
                let (client, received) = self.connections.get_mut(&connection).ok_or("not connected")?;
                received.extend(self.world.send_bytes(client, &bytes));
                self.collect();
            }
            ("E", body) => {
                self.wait_for(connection, |_, received| !received.is_empty())?;
                let (_, received) = self.connections.get_mut(&connection).ok_or("not connected")?;
                let message = received.pop_front().ok_or("nothing came")?;
                return compare(body, &message);
            }
            _ => return Err("not a step".to_owned()),
        }
        Ok(())
    }
}

fn is_admin(kind: &str) -> bool {
    matches!(kind, "0" | "1" | "2" | "3" | "4" | "5" | "A")
}

fn same_value(tag: &str, expected: &str, found: &str) -> bool {
    match tag {
        "9" | "10" => true,
        "42" | "52" | "60" | "122" => parse_utc_timestamp(found.as_bytes()).is_some(),
        _ => expected == found,
    }
}

fn compare(body: &str, message: &Received) -> Result<(), String> {
    let text = message.0.clone();
    let differs = |what: String| Err(format!("{what}\n   expected {body}\n   received {text}"));
    let (part, body_fields) = match body.strip_prefix('~') {
        Some(rest) => (true, fields(rest)),
        None => (false, fields(body)),
    };
    let found = fields(&message.0);
    let kind = value(&body_fields, "35");
    // Where QuickFIX's example sends an order back, an exchange sends a report of its own.
    let echo = !part && !is_admin(kind) && kind != "j";
    if echo && !matches!(value(&found, "35"), "8" | "9" | "j") {
        return differs("no application message".to_owned());
    }
    if part || echo {
        let tags: &[&str] = &["8", "34", "49", "56", "43"];
        let wanted = body_fields.iter().filter(|field| part || tags.contains(&field.0.as_str()));
        for (tag, expected) in wanted {
            if !same_value(tag, expected, value(&found, tag)) {
                return differs(format!("field {tag}"));
            }
        }
        return Ok(());
    }
    for (at, (tag, expected)) in body_fields.iter().enumerate() {
        match found.get(at).filter(|field| field.0 == *tag) {
            Some(field) if same_value(tag, expected, &field.1) => {}
            _ => return differs(format!("field {tag}")),
        }
    }
    let extra = found.len()
        > body_fields.len()
            + usize::from(value(&body_fields, "10").is_empty())
            + usize::from(value(&body_fields, "9").is_empty());
    if extra { differs("more fields than expected".to_owned()) } else { Ok(()) }
}

fn play(text: &str) -> Result<(), String> {
    let text = text.replace('\x01', "|");
    let mut player = Player { world: world(&text), connections: BTreeMap::new() };
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        player.step(line).map_err(|error| format!("line {}: {error}", at + 1))?;
    }
    Ok(())
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "def"));
    paths.sort();
    paths
}

fn play_all(folder: &Path) -> usize {
    let paths = scripts(folder);
    let mut failures = Vec::new();
    for path in &paths {
        let text = String::from_utf8_lossy(&std::fs::read(path).expect("a script")).into_owned();
        // Expected messages without BodyLength stand for those with it.
        let text = text.lines().map(with_length).collect::<Vec<_>>().join("\n");
        if let Err(error) = play(&text) {
            failures.push(format!("{}: {error}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{} of {} failed\n{}", failures.len(), paths.len(), failures.join("\n"));
    paths.len()
}

/// An expected message as it comes: BodyLength second, CheckSum last.
fn with_length(line: &str) -> String {
    let line = line.replace('\x01', "|").trim_end_matches('\r').to_owned();
    if !line.starts_with('E') || line.starts_with("E~") {
        return line;
    }
    let line = if line.contains("|9=") { line } else { line.replacen('|', "|9=0|", 1) };
    if line.contains("|10=") { line } else { format!("{}|10=0|", line.trim_end_matches('|')) }
}

#[test]
fn our_own_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fix");
    assert!(play_all(&folder) >= 12);
}

#[test]
fn the_acceptance_scripts_of_quickfix_pass() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/fix/acceptance/server");
    let mut played = 0;
    for folder in std::fs::read_dir(&server).into_iter().flatten().flatten() {
        played += play_all(&folder.path());
    }
    if played == 0 {
        println!("skipped: no data at {}", server.display());
    } else {
        println!("{played} scripts played");
    }
}

/// The runner itself: a wrong expectation, a missing message and a missing disconnect are all noticed.
#[test]
fn what_does_not_happen_is_noticed() {
    let logon = "iCONNECT\nI8=FIX.4.4|35=A|34=1|49=TW44|52=<TIME>|56=ISLD|98=0|108=0|\n";
    let answer = "E8=FIX.4.4|9=0|35=A|34=1|49=ISLD|52=<TIME>|56=TW44|98=0|108=0|10=0|\n";
    assert_eq!(play(&format!("{logon}{answer}")), Ok(()));
    for wrong in [
        format!("{logon}{}", answer.replace("34=1", "34=2")),
        format!("{logon}{}", answer.replace("98=0|", "")),
        format!("{logon}{}", answer.replace("10=0", "141=Y|10=0")),
        format!("{logon}{answer}eDISCONNECT\n"),
        format!("{logon}{answer}E~35=0|\n"),
        format!("{logon}eDISCONNECT\n"),
        "iCONNECT\nX\n".to_owned(),
    ] {
        assert!(play(&wrong).is_err(), "{wrong}");
    }
}
