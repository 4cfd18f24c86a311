//! A terminal: runs a program on a pseudo-terminal, types, and reads what is shown.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::wait_until;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A program on a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    device: OwnedFd,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Starts a program whose stdin and stderr are the terminal. Its stdout is a pipe, or the terminal as well.
    pub(crate) fn start(mut command: Command, stdout_on_terminal: bool) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are pseudo-terminals");
        grantpt(&controller).expect("it is ours");
        unlockpt(&controller).expect("it is ours");
        let name = ptsname(&controller, Vec::new()).expect("it has a name");
        let device = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it opens");
        let stdio = || Stdio::from(device.try_clone().expect("there are descriptors"));
        command.stdin(stdio()).stderr(stdio());
        command.stdout(if stdout_on_terminal { stdio() } else { Stdio::piped() });
        let child = command.spawn().expect("the program starts");
        let keyboard = File::from(controller);
        let (screen, mut shown) = (Arc::new(Mutex::new(String::new())), keyboard.try_clone().expect("descriptors"));
        std::thread::spawn({
            let screen = screen.clone();
            move || {
                let mut piece = [0; 4096];
                while let Ok(read @ 1..) = shown.read(&mut piece) {
                    screen.lock().expect("no panic").push_str(&String::from_utf8_lossy(&piece[..read]));
                }
            }
        });
        Self { child, keyboard, device, screen }
    }

    /// Everything shown so far.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().expect("no panic").clone()
    }

    /// Waits until the screen shows `text`.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        wait_until(&format!("the terminal shows {text:?}: {}", self.screen()), TIMEOUT, || {
            self.screen().contains(text)
        });
    }

    /// Types on the keyboard.
    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes it");
    }

    /// True if the terminal shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.device).expect("it is a terminal").local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits for the end of the program.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
