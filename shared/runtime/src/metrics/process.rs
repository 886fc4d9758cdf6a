//! What Prometheus' libraries tell of any process: `process_*`, by the names of
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Reads the process's figures when it is asked.
#[derive(Debug)]
pub(super) struct ProcessCollector;

/// One reading.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "read on Linux alone"))]
struct Figures {
    cpu_seconds: f64,
    start_time_seconds: f64,
    resident_memory_bytes: u64,
    virtual_memory_bytes: u64,
    open_fds: u64,
    /// `None`: no limit.
    max_fds: Option<u64>,
    threads: u64,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // What the system does not tell is left out.
        let Some(figures) = read() else { return Ok(()) };
        let cpu = ConstCounter::new(figures.cpu_seconds);
        let help = "Processor time of the process, user's and system's, in seconds";
        let to = encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?;
        cpu.encode(to)?;
        let limit = figures.max_fds.map_or(f64::INFINITY, |most| most as f64);
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "When the process began, in seconds since 1970",
                figures.start_time_seconds,
            ),
            (
                "process_resident_memory_bytes",
                "Memory of the process that is resident, in bytes",
                figures.resident_memory_bytes as f64,
            ),
            (
                "process_virtual_memory_bytes",
                "Address space of the process, in bytes",
                figures.virtual_memory_bytes as f64,
            ),
            ("process_open_fds", "Open file descriptors", figures.open_fds as f64),
            ("process_max_fds", "Most file descriptors that may be open", limit),
            ("process_threads", "Threads of the process", figures.threads as f64),
        ] {
            let value = ConstGauge::new(value);
            value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn read() -> Option<Figures> {
    use procfs::process::{LimitValue, Process};

    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    Some(Figures {
        cpu_seconds: seconds(stat.utime + stat.stime),
        start_time_seconds: procfs::boot_time_secs().ok()? as f64 + seconds(stat.starttime),
        resident_memory_bytes: stat.rss * procfs::page_size(),
        virtual_memory_bytes: stat.vsize,
        open_fds: process.fd_count().ok()? as u64,
        max_fds: match process.limits().ok()?.max_open_files.soft_limit {
            LimitValue::Value(most) => Some(most),
            LimitValue::Unlimited => None,
        },
        threads: u64::try_from(stat.num_threads).ok()?,
    })
}

#[cfg(not(target_os = "linux"))]
fn read() -> Option<Figures> {
    None
}
