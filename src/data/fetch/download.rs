//! One file over HTTP: resumable, bounded in time and size, and kept only if its checksum is right.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::data::dataset::sha256;
use crate::host::can_draw;
use crate::store::files::sync_folder;

/// A file to download.
#[derive(Clone, Debug)]
pub struct Archive {
    pub name: &'static str,
    pub url: String,
    /// The exact size, which is also the most that is ever downloaded.
    pub bytes: u64,
    /// 64 hex digits.
    pub sha256: String,
    /// Wait before the first retry; it doubles with each.
    pub first_pause: Duration,
}

/// Failures in a row, each without [`PROGRESS_BYTES`] of news, after which a download is given up.
const MAX_FAILURES: u32 = 5;
/// An attempt that got this much further before it failed does not count as a failure.
const PROGRESS_BYTES: u64 = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest silence of a server.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Without a terminal, progress is a line each time this share of the whole has arrived.
const PERCENT_A_LINE: u64 = 10;

/// Downloads `archive` to `dir/<name>`, going on from `dir/<name>.part` if an earlier download left one. Gives up when the
/// server fails too often or another process is downloading it; a part with a wrong checksum is deleted.
pub fn download(archive: &Archive, dir: &Path) -> Result<PathBuf> {
    let (path, part) = (dir.join(archive.name), dir.join(format!("{}.part", archive.name)));
    let mut file = open_part(&part)?;
    let progress = Progress::new(archive.bytes);
    let (mut failures, mut furthest) = (0, 0);
    while let Err(error) = attempt(archive, &mut file, &progress) {
        let received = file.metadata()?.len();
        failures = if received >= furthest + PROGRESS_BYTES { 1 } else { failures + 1 };
        furthest = furthest.max(received);
        if failures == MAX_FAILURES || error.is::<Permanent>() {
            return Err(error);
        }
        let pause = archive.first_pause * 2u32.pow(failures - 1);
        progress.say(&format!("{error:#}; trying again in {pause:?}"));
        std::thread::sleep(pause);
    }
    // No larger than the images, for which there must be memory anyway.
    let mut bytes = vec![];
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).with_context(|| part.display().to_string())?;
    let found = sha256([&bytes[..]]);
    if found != archive.sha256 {
        fs::remove_file(&part).with_context(|| part.display().to_string())?;
        bail!("{}: wrong checksum, deleted: sha256 {found} instead of {}", archive.url, archive.sha256);
    }
    file.sync_all().and_then(|()| fs::rename(&part, &path)).with_context(|| path.display().to_string())?;
    sync_folder(dir)?;
    Ok(path)
}

/// Opens the unfinished download for this process alone; what an earlier one left is kept. A link is not followed.
fn open_part(part: &Path) -> Result<File> {
    let about = || part.display().to_string();
    if let Ok(metadata) = fs::symlink_metadata(part) {
        ensure!(metadata.is_file(), "{}: not a plain file", part.display());
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part).with_context(about)?;
    file.try_lock().map_err(why_not_locked).with_context(about)?;
    Ok(file)
}

/// A lock that is not to be had: another holds it, or the file system has none.
fn why_not_locked(error: TryLockError) -> anyhow::Error {
    match error {
        TryLockError::WouldBlock => anyhow!("another download is under way"),
        TryLockError::Error(error) => anyhow!(
            "cannot be locked ({error}): this file system has no locks, without which two downloads could write into one file; \
             choose a folder on another disk with --data"
        ),
    }
}

/// An answer that asking again will not change.
#[derive(Debug)]
struct Permanent(String);

impl std::fmt::Display for Permanent {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Permanent {}

/// Asks once for the bytes that `file` lacks and appends what comes.
fn attempt(archive: &Archive, file: &mut File, progress: &Progress) -> Result<()> {
    let mut have = file.metadata()?.len();
    if have == archive.bytes {
        return Ok(());
    }
    if have > archive.bytes {
        file.set_len(0)?;
        have = 0;
    }
    let response = request(&archive.url, have)?;
    match response.status().as_u16() {
        206 if resumes_at(&response, have) => {}
        200 => have = 0,
        206 | 416 => {
            file.set_len(0)?;
            bail!("{}: the server does not resume where it should", archive.url);
        }
        status @ (408 | 429 | 500..) => bail!("{}: HTTP status {status}", archive.url),
        status => bail!(Permanent(format!("{}: HTTP status {status}", archive.url))),
    }
    file.set_len(have)?;
    file.seek(SeekFrom::Start(have))?;
    receive(response.into_body().into_reader(), archive, file, have, progress)
}

fn request(url: &str, from: u64) -> Result<ureq::http::Response<ureq::Body>> {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(SILENCE_TIMEOUT))
        .timeout_per_read(Some(SILENCE_TIMEOUT))
        .accept_encoding("identity")
        .http_status_as_error(false)
        .build();
    let request = ureq::Agent::new_with_config(config).get(url);
    let request = if from == 0 { request } else { request.header("Range", format!("bytes={from}-")) };
    request.call().with_context(|| url.to_owned())
}

/// Whether a partial answer, `Content-Range: bytes FIRST-LAST/TOTAL`, starts at byte `from`.
fn resumes_at(response: &ureq::http::Response<ureq::Body>, from: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

fn receive(mut body: impl Read, archive: &Archive, file: &mut File, mut have: u64, progress: &Progress) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match body.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result.with_context(|| format!("{}: after {have} bytes", archive.url))?,
        };
        if count == 0 {
            break;
        }
        have += count as u64;
        if have > archive.bytes {
            file.set_len(0)?;
            bail!(Permanent(format!("{}: longer than the {} bytes it must have", archive.url, archive.bytes)));
        }
        // A disk error will not go away by downloading again.
        file.write_all(&buffer[..count]).map_err(|error| anyhow!(Permanent(format!("{}: {error}", archive.name))))?;
        progress.set(have);
    }
    ensure!(have == archive.bytes, "{}: ended after {have} of {} bytes", archive.url, archive.bytes);
    Ok(())
}

/// A bar on a terminal, else a line for every tenth.
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Cell<u64>>,
}

impl Progress {
    pub fn new(bytes: u64) -> Self {
        let terminal = can_draw(&std::io::stderr());
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        bar.set_style(style.expect("the template is a constant"));
        Progress { bar, lines: (!terminal).then(Default::default) }
    }

    pub fn set(&self, have: u64) {
        self.bar.set_position(have);
        let total = self.bar.length().unwrap_or(have).max(1);
        let percent = have * 100 / total / PERCENT_A_LINE * PERCENT_A_LINE;
        if let Some(said) = &self.lines
            && percent != said.replace(percent)
        {
            eprintln!("{percent} % of {} MB", total / 1_000_000);
        }
    }

    pub fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    const CONTENT: &[u8] = &[7; 300_000];

    /// What the server does with one request; the requested range's start goes in.
    pub type Answer = fn(&mut TcpStream, u64);

    /// A server that gives each connection the next answer and returns the starts that were asked for.
    pub fn serve(answers: Vec<Answer>) -> (String, JoinHandle<Vec<u64>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut starts = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut start = 0;
                for line in BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                    if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                        start = range.trim_end_matches('-').parse().unwrap();
                    }
                }
                starts.push(start);
                answer(&mut stream, start);
            }
            starts
        });
        (url, server)
    }

    fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
        // The client may hang up first.
        let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
        let _ = stream.write_all(body);
    }

    fn whole(stream: &mut TcpStream, _: u64) {
        respond(stream, "200 OK", &format!("Content-Length: {}\r\n", CONTENT.len()), CONTENT);
    }

    fn rest(stream: &mut TcpStream, start: u64) {
        let body = &CONTENT[start as usize..];
        let last = CONTENT.len() - 1;
        let range = format!("Content-Range: bytes {start}-{last}/{}\r\n", CONTENT.len());
        respond(stream, "206 Partial", &format!("Content-Length: {}\r\n{range}", body.len()), body);
    }

    fn hang_up(stream: &mut TcpStream, _: u64) {
        respond(stream, "200 OK", &format!("Content-Length: {}\r\n", CONTENT.len()), &CONTENT[..100_000]);
    }

    fn endless(stream: &mut TcpStream, _: u64) {
        respond(stream, "200 OK", "", &[CONTENT, CONTENT].concat());
    }

    pub fn not_found(stream: &mut TcpStream, _: u64) {
        respond(stream, "404 Not Found", "Content-Length: 0\r\n", b"");
    }

    fn busy(stream: &mut TcpStream, _: u64) {
        respond(stream, "503 Busy", "Content-Length: 0\r\n", b"");
    }

    struct Outcome {
        result: Result<PathBuf>,
        starts: Vec<u64>,
        dir: tempfile::TempDir,
    }

    impl Outcome {
        fn error(&self) -> String {
            format!("{:#}", self.result.as_ref().unwrap_err())
        }

        fn files(&self) -> Vec<String> {
            fs::read_dir(&self.dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    /// Downloads from a server with these answers, with `part` left by an earlier download.
    fn run(part: &[u8], content: &[u8], answers: Vec<Answer>) -> Outcome {
        let dir = tempfile::tempdir().unwrap();
        if !part.is_empty() {
            fs::write(dir.path().join("file.part"), part).unwrap();
        }
        let (url, server) = serve(answers);
        let (bytes, sha256) = (CONTENT.len() as u64, sha256([content]));
        let archive = Archive { name: "file", url, bytes, sha256, first_pause: Duration::from_millis(1) };
        let result = download(&archive, dir.path());
        Outcome { result, starts: server.join().unwrap(), dir }
    }

    fn succeeds(part: &[u8], answers: Vec<Answer>) -> Vec<u64> {
        let outcome = run(part, CONTENT, answers);
        let path = outcome.result.as_ref().unwrap();
        assert!(fs::read(path).unwrap() == CONTENT);
        assert_eq!(outcome.files(), ["file"]);
        outcome.starts
    }

    #[test]
    fn downloads_resumes_and_starts_over() {
        assert_eq!(succeeds(b"", vec![whole]), [0]);
        assert_eq!(succeeds(&CONTENT[..1_000], vec![rest]), [1_000]);
        assert_eq!(succeeds(&CONTENT[..1_000], vec![whole]), [1_000], "a server without ranges");
        assert_eq!(succeeds(CONTENT, vec![]), [0u64; 0], "all was there");
        assert_eq!(succeeds(&[7; 300_001], vec![whole]), [0], "the part was too long");
    }

    #[test]
    fn a_server_gone_midway_is_asked_for_the_rest() {
        assert_eq!(succeeds(b"", vec![hang_up, busy, rest]), [0, 100_000, 100_000]);
    }

    #[test]
    fn a_server_gone_for_good_leaves_a_part_that_is_no_data_until_the_rest_is_there() {
        let outcome = run(b"", CONTENT, vec![hang_up]);
        assert!(outcome.error().starts_with("http://127.0.0.1"), "{}", outcome.error());
        assert_eq!(outcome.files(), ["file.part"]);
        let part = fs::read(outcome.dir.path().join("file.part")).unwrap();
        assert_eq!(succeeds(&part, vec![rest]), [100_000]);
    }

    #[test]
    fn a_wrong_checksum_deletes_the_part_and_says_so() {
        let outcome = run(b"", b"other", vec![whole]);
        assert!(outcome.error().contains("wrong checksum, deleted"), "{}", outcome.error());
        assert!(outcome.files().is_empty());
    }

    #[test]
    fn lasting_errors_are_not_retried_and_passing_ones_not_forever() {
        let outcome = run(b"", CONTENT, vec![not_found]);
        assert!(outcome.error().ends_with("HTTP status 404"), "{}", outcome.error());
        let outcome = run(b"", CONTENT, vec![endless]);
        assert!(outcome.error().contains("longer than the 300000 bytes"), "{}", outcome.error());
        let outcome = run(b"", CONTENT, vec![busy; MAX_FAILURES as usize]);
        assert!(outcome.error().ends_with("HTTP status 503"), "{}", outcome.error());
    }

    #[test]
    fn a_part_that_is_a_link_or_in_use_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (target, part) = (dir.path().join("target"), dir.path().join("part"));
        fs::write(&target, "keep").unwrap();
        std::os::unix::fs::symlink(&target, &part).unwrap();
        assert!(open_part(&part).unwrap_err().to_string().contains("not a plain file"));
        fs::remove_file(&part).unwrap();
        let _held = open_part(&part).unwrap();
        assert!(format!("{:#}", open_part(&part).unwrap_err()).contains("another download is under way"));
    }

    #[test]
    fn only_a_lock_that_another_holds_is_another_download() {
        assert!(why_not_locked(TryLockError::WouldBlock).to_string().contains("another download is under way"));
        for code in [libc::ENOLCK, libc::ENOSYS, libc::EOPNOTSUPP] {
            let error = format!("{:#}", why_not_locked(TryLockError::Error(std::io::Error::from_raw_os_error(code))));
            assert!(
                error.contains("no locks") && error.contains("--data") && !error.contains("another download"),
                "{error}"
            );
        }
    }
}
