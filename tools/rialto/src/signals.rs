//! What a person or the system asks of a running command by signals.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::output::Failure;

/// Becomes true with the first SIGINT or SIGTERM, which asks for an orderly stop; a second one ends the process at once.
///
/// # Errors
/// What the system says.
pub fn stop_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(Failure::system)?;
    }
    Ok(stop)
}
