//! What calls to other processes cost at the least: messages over loopback sockets, without HTTP, encoding or an event
//! loop. `cargo bench -p plugrank-transport --bench crossing -- [CALLS] [BYTES] [SECONDS]`: every millisecond one message
//! to each of so many processes, one after another, which send it back; CPU time from `/proc`, so Linux only.

use std::{
    env, fs,
    io::{BufRead, BufReader, Error, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio, id},
    thread,
    time::{Duration, Instant},
};

/// Names the role of a process that answers, with the bytes of a message.
const ANSWER: &str = "PLUGRANK_BENCH_CROSSING_ANSWER";
/// Between two requests.
const EVERY: Duration = Duration::from_millis(1);
/// Clock ticks a second in `/proc/PID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> Result<(), Error> {
    if let Ok(bytes) = env::var(ANSWER) {
        return answer(bytes.parse().map_err(Error::other)?);
    }
    let numbers: Vec<usize> = env::args().skip(1).filter_map(|one| one.parse().ok()).collect();
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let (calls, bytes, seconds) = (number(0, 3), number(1, 4_096), number(2, 3));
    let mut others = (0..calls).map(|_| Other::start(bytes)).collect::<Result<Vec<_>, _>>()?;
    let requests = seconds * 1_000;
    let mut message = vec![7; bytes];
    let before = cpu_us(&others);
    let mut due = Instant::now();
    for _ in 0..requests {
        due += EVERY;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for other in &mut others {
            other.stream.write_all(&message)?;
            other.stream.read_exact(&mut message)?;
        }
    }
    let took = (cpu_us(&others) - before) / requests as f64;
    println!(
        "{calls} calls of {bytes} bytes there and back: {took:.0} us of CPU a request, in all processes"
    );
    Ok(())
}

/// A process that answers.
struct Other {
    process: Child,
    stream: TcpStream,
}

impl Other {
    fn start(bytes: usize) -> Result<Self, Error> {
        let mut command = Command::new(env::current_exe()?);
        command.env(ANSWER, bytes.to_string()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut address = String::new();
        let printed = process.stdout.take().ok_or_else(|| Error::other("it prints nothing"))?;
        BufReader::new(printed).read_line(&mut address)?;
        let stream = TcpStream::connect(address.trim())?;
        stream.set_nodelay(true)?;
        Ok(Self { process, stream })
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answer(bytes: usize) -> Result<(), Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut message = vec![0; bytes];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

/// CPU time of this process and the others so far.
fn cpu_us(others: &[Other]) -> f64 {
    let of = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Fields after the name, which may hold spaces: utime and stime are the 14th and 15th of all.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields = rest.split_whitespace().skip(11).take(2);
        fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND * 1e6
    };
    of(id()) + others.iter().map(|other| of(other.process.id())).sum::<f64>()
}
