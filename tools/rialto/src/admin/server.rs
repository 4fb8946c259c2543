//! The socket of a running exchange.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sequencer::Clock;
use serde_json::json;

use super::desk::Names;
use super::{AUDIT, AdminCommand, AdminReply, SOCKET, short_path};
use crate::describe;
use crate::operator::Wish;

/// Longest request.
const REQUEST_BYTES: u64 = 64 * 1024;
/// How long a client may take to send its request, and how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The private folder in which the socket comes to be, before it has its permissions.
const NURSERY: &str = ".admin-socket";

/// The socket's file; gone with it.
pub struct AdminSocket {
    path: PathBuf,
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // It may be gone already, and nothing depends on it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What requests need.
struct Desk {
    names: Arc<Mutex<Names>>,
    wishes: SyncSender<Wish>,
    clock: Clock,
    audit: File,
}

/// Listens in the data folder, which is this process's own, on a thread that ends with the process.
///
/// # Errors
/// What the system says.
pub fn start(
    data: &Path,
    names: Arc<Mutex<Names>>,
    wishes: SyncSender<Wish>,
    clock: Clock,
) -> io::Result<AdminSocket> {
    let listener = listen(data)?;
    let audit = OpenOptions::new().append(true).create(true).mode(0o600).open(data.join(AUDIT))?;
    let mut desk = Desk { names, wishes, clock, audit };
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that is gone before its answer needs none.
            let _ = desk.serve(&stream);
        }
    })?;
    Ok(AdminSocket { path: data.join(SOCKET) })
}

/// Binds in a folder that nobody else can enter, and moves the socket out when it is the owner's alone.
fn listen(data: &Path) -> io::Result<UnixListener> {
    let nursery = data.join(NURSERY);
    if nursery.exists() {
        std::fs::remove_dir_all(&nursery)?;
    }
    DirBuilder::new().mode(0o700).create(&nursery)?;
    let folder = File::open(&nursery)?;
    let listener = UnixListener::bind(short_path(&folder, SOCKET))?;
    std::fs::set_permissions(nursery.join(SOCKET), Permissions::from_mode(0o600))?;
    std::fs::rename(nursery.join(SOCKET), data.join(SOCKET))?;
    std::fs::remove_dir(&nursery)?;
    Ok(listener)
}

impl Desk {
    fn serve(&mut self, stream: &UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream.take(REQUEST_BYTES)).read_line(&mut line)?;
        let reply = match serde_json::from_str::<AdminCommand>(&line) {
            Ok(request) => self.answer(&request),
            Err(error) => AdminReply::refused(format!("not a request: {error}")),
        };
        self.note(&line, &reply)?;
        let mut text = serde_json::to_string(&reply)?;
        text.push('\n');
        let mut out = stream;
        out.write_all(text.as_bytes())
    }

    fn answer(&self, request: &AdminCommand) -> AdminReply {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let wish = names.command(request, self.clock.now_ns());
        drop(names);
        let mut wish = match wish {
            Ok(wish) => wish,
            Err(problem) => return AdminReply::refused(problem),
        };
        let (reply, answer) = sync_channel(1);
        wish.reply = Some(reply);
        match self.wishes.try_send(wish) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return AdminReply::refused("too many requests wait: try again"),
            Err(TrySendError::Disconnected(_)) => return AdminReply::refused("the exchange is stopping"),
        }
        answer.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            AdminReply::refused(
                "no answer within 10 seconds: it may still take effect, the journal will tell (rialto journal tail)",
            )
        })
    }

    /// One line of the audit log.
    fn note(&mut self, request: &str, reply: &AdminReply) -> io::Result<()> {
        let request: serde_json::Value =
            serde_json::from_str(request).unwrap_or_else(|_| json!(request.trim_end()));
        let mut line = json!({
            "time": describe::timestamp(self.clock.now_ns()),
            "request": request,
            "ok": reply.ok,
            "sequence": reply.sequence,
        });
        if let Some(error) = &reply.error {
            line["error"] = json!(error);
        }
        self.audit.write_all(format!("{line}\n").as_bytes())
    }
}
