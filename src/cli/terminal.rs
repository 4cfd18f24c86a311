//! Questions on the terminal: a password without echo, and yes or no.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::CliError;

/// Longest password that is read: 4096 characters, the most that `passwords.max_length` can allow.
const MAX_PASSWORD_BYTES: u64 = 16 * 1024;

/// Reads a password: from a terminal with a prompt and without echo, otherwise as the only line of stdin.
pub(super) fn read_password() -> Result<Zeroizing<String>, CliError> {
    let stdin = io::stdin();
    if stdin.is_terminal() { prompt_password(stdin) } else { read_password_line(&mut stdin.lock()) }
}

/// Reads one line without its end: `echo`, `printf` and a file all work. More than one line is a mistake, not a
/// password.
fn read_password_line(input: &mut dyn BufRead) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    // With the end of the line. A longer line must not become a shorter password.
    input.take(MAX_PASSWORD_BYTES + 2).read_to_string(&mut text).map_err(CliError::io("reading the password"))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.len() as u64 > MAX_PASSWORD_BYTES {
        return Err(CliError::io("reading the password")(too_long()));
    }
    if line.is_empty() || line.contains('\n') {
        return Err(CliError::Usage {
            problem: "stdin must hold the password, on one line".to_owned(),
            remedy: "printf %s \"$PASSWORD\" | signet users create --email … --password-stdin".to_owned(),
        });
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is too long")
}

fn prompt_password(stdin: io::Stdin) -> Result<Zeroizing<String>, CliError> {
    let failed = || CliError::io("reading the password from the terminal");
    let _ = io::stderr().write_all(b"Password: ");
    let no_echo = NoEcho::enable(stdin.as_fd()).map_err(|error| failed()(error.into()))?;
    let typed = read_typed(&mut stdin.lock());
    drop(no_echo);
    let _ = io::stderr().write_all(b"\n");
    match typed.map_err(failed())? {
        Some(password) if !password.is_empty() => Ok(password),
        Some(_) => Err(CliError::Usage {
            problem: "the password is empty".to_owned(),
            remedy: "leave out --password-stdin to create a user without a password".to_owned(),
        }),
        None => Err(CliError::Failed {
            problem: "no password was entered".to_owned(),
            remedy: "nothing was changed".to_owned(),
        }),
    }
}

/// Reads typed bytes up to Enter. `None`: Ctrl-C, or Ctrl-D with nothing typed. The line is edited here because the
/// terminal neither edits lines nor sends signals while [`NoEcho`] is in force.
fn read_typed(input: &mut dyn Read) -> io::Result<Option<Zeroizing<String>>> {
    const CTRL_C: u8 = 0x03;
    const CTRL_D: u8 = 0x04;
    const CTRL_U: u8 = 0x15;
    const BACKSPACE: [u8; 2] = [0x08, 0x7f];
    let mut typed = Zeroizing::new(Vec::new());
    let mut byte = [0];
    loop {
        if input.read(&mut byte)? == 0 {
            break;
        }
        match byte[0] {
            b'\n' | b'\r' => break,
            CTRL_C => return Ok(None),
            CTRL_D if typed.is_empty() => return Ok(None),
            CTRL_D => break,
            CTRL_U => typed.clear(),
            erase if BACKSPACE.contains(&erase) => {
                // Removes the bytes of one character: in UTF-8, all but its first one begin with the bits 10.
                while typed.pop().is_some_and(|removed| removed & 0b1100_0000 == 0b1000_0000) {}
            }
            _ if typed.len() as u64 >= MAX_PASSWORD_BYTES => {
                return Err(too_long());
            }
            letter => typed.push(letter),
        }
    }
    let text =
        std::str::from_utf8(&typed).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Turns off echo, and restores the terminal when dropped. Signals from the keyboard are off as well: Ctrl-C would
/// otherwise end the process before the terminal is restored.
struct NoEcho<'a> {
    terminal: std::os::fd::BorrowedFd<'a>,
    original: Termios,
}

impl<'a> NoEcho<'a> {
    fn enable(terminal: std::os::fd::BorrowedFd<'a>) -> rustix::io::Result<Self> {
        let original = tcgetattr(terminal)?;
        let mut changed = original.clone();
        changed.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Now, &changed)?;
        Ok(Self { terminal, original })
    }
}

impl Drop for NoEcho<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.original);
    }
}

/// Asks a yes-or-no question on the terminal; anything but `y` or `yes` is no. `None`: stdin is not a terminal.
pub(super) fn confirm(question: &str) -> Result<Option<bool>, CliError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let _ = io::stderr().write_all(format!("{question} [y/N] ").as_bytes());
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(CliError::io("reading the answer"))?;
    Ok(Some(["y", "yes"].contains(&answer.trim().to_lowercase().as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line() {
        let read = |text: &str| read_password_line(&mut text.as_bytes()).map(|password| password.to_string());
        assert_eq!(read("with space ").unwrap(), "with space ");
        assert_eq!(read("echoed\n").unwrap(), "echoed");
        assert_eq!(read("from a file\r\n").unwrap(), "from a file");
        for bad in ["", "\n", "two\nlines\n"] {
            assert_eq!(read(bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }

    #[test]
    fn password_that_is_too_long_is_not_cut_off() {
        let longest = "𝒂".repeat(4096);
        let read = |text: String| read_password_line(&mut text.as_bytes()).map(|password| password.to_string());
        assert_eq!(read(longest.clone()).unwrap(), longest);
        assert_eq!(read(format!("{longest}\r\n")).unwrap(), longest);
        for more in ["a", "a\r\n", "\n\n", "ab\nc"] {
            assert!(read(format!("{longest}{more}")).is_err(), "{more:?}");
        }
    }

    #[test]
    fn a_typed_password_can_be_edited_and_abandoned() {
        let read = |typed: &str| read_typed(&mut typed.as_bytes()).unwrap().map(|password| password.to_string());
        assert_eq!(read("se\u{7f}ecret\nrest").as_deref(), Some("secret"));
        assert_eq!(read("zoë\u{7f}e\r").as_deref(), Some("zoe"));
        assert_eq!(read("wrong\u{15}right\n").as_deref(), Some("right"));
        assert_eq!(read("\u{7f}a\u{4}").as_deref(), Some("a"));
        assert_eq!(read("half\u{3}\n"), None);
        assert_eq!(read("\u{4}"), None);
    }
}
