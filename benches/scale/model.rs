//! A discrete simulation of requests that pass through processes with one thread each. The processes of a machine share
//! its cores equally. It knows costs in nanoseconds, and nothing of Signet or Redis.
//!
//! Service times are constant. Arrivals of an open load are random (Poisson), and each request chooses its path at
//! random.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// A process of the model, by its index.
pub(crate) type ProcessId = usize;

/// One visit of a request to a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    pub(crate) process: ProcessId,
    /// The processor time that the visit takes, in nanoseconds.
    pub(crate) nanos: f64,
    /// The time on the network before it, in nanoseconds.
    pub(crate) delay: f64,
    /// Work that nobody waits for, such as that of a replica. The request goes on at once.
    pub(crate) background: bool,
}

/// The arrivals of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrivals {
    /// This number of connections. Each sends its next request as soon as the response is complete.
    Closed(usize),
    /// This number of requests a second, whatever happens to them.
    Open(f64),
}

/// The result of a simulation.
#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Latencies in nanoseconds, in ascending order.
    latencies: Vec<f64>,
}

impl Prediction {
    /// The latency in milliseconds that this share of the requests does not exceed.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len() - 1;
        self.latencies[((last as f64) * share).round() as usize] / 1e6
    }
}

/// Random numbers (SplitMix64), the same in every run.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// The time until the next of events that are `mean` apart on average and independent of each other.
    fn exponential(&mut self, mean: f64) -> f64 {
        let uniform = ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
        -mean * uniform.ln()
    }
}

/// The machines, by the number of cores, and the processes, by their machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    cores: Vec<f64>,
    machine_of: Vec<usize>,
}

impl Fleet {
    pub(crate) fn add_machine(&mut self, cores: usize) -> usize {
        self.cores.push(cores as f64);
        self.cores.len() - 1
    }

    pub(crate) fn add_process(&mut self, machine: usize) -> ProcessId {
        self.machine_of.push(machine);
        self.machine_of.len() - 1
    }

    /// Simulates `count` requests after a tenth as many that are not counted. `path` gives the visits of the request
    /// with this number.
    pub(crate) fn simulate(
        &self,
        arrivals: Arrivals,
        count: usize,
        path: impl FnMut(&mut Random, usize) -> Vec<Visit>,
    ) -> Prediction {
        Run::new(self, count, path).run(arrivals)
    }
}

/// Work that waits for a process or is done by it.
struct Task {
    /// `None` for work in the background.
    request: Option<usize>,
    left: f64,
}

struct Request {
    started: f64,
    visits: VecDeque<Visit>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A task of this machine ends, unless the machine has changed since.
    TaskEnds { machine: usize, version: u64 },
    /// A visit begins after its time on the network.
    VisitBegins { request: usize },
    /// The next request of an open load.
    RequestArrives,
}

struct Scheduled {
    time: f64,
    event: Event,
}

impl Ord for Scheduled {
    /// The earliest is the greatest, because `BinaryHeap` returns the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.time.total_cmp(&self.time)
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

struct Machine {
    cores: f64,
    processes: Vec<ProcessId>,
    /// The time up to which the work of its tasks is counted.
    counted: f64,
    version: u64,
}

struct Run<P> {
    machines: Vec<Machine>,
    machine_of: Vec<usize>,
    queues: Vec<VecDeque<Task>>,
    requests: Vec<Request>,
    unused: Vec<usize>,
    events: BinaryHeap<Scheduled>,
    now: f64,
    random: Random,
    path: P,
    begun: usize,
    finished: usize,
    count: usize,
    closed: bool,
    latencies: Vec<f64>,
}

impl<P: FnMut(&mut Random, usize) -> Vec<Visit>> Run<P> {
    fn new(fleet: &Fleet, count: usize, path: P) -> Self {
        let machines = fleet.cores.iter().enumerate().map(|(machine, cores)| Machine {
            cores: *cores,
            processes: (0..fleet.machine_of.len()).filter(|process| fleet.machine_of[*process] == machine).collect(),
            counted: 0.0,
            version: 0,
        });
        Self {
            machines: machines.collect(),
            machine_of: fleet.machine_of.clone(),
            queues: fleet.machine_of.iter().map(|_| VecDeque::new()).collect(),
            requests: Vec::new(),
            unused: Vec::new(),
            events: BinaryHeap::new(),
            now: 0.0,
            random: Random(1),
            path,
            begun: 0,
            finished: 0,
            count,
            closed: false,
            latencies: Vec::with_capacity(count),
        }
    }

    fn run(mut self, arrivals: Arrivals) -> Prediction {
        let gap = match arrivals {
            Arrivals::Closed(connections) => {
                self.closed = true;
                (0..connections).for_each(|_| self.begin_request());
                0.0
            }
            Arrivals::Open(rate) => {
                self.schedule(0.0, Event::RequestArrives);
                1e9 / rate
            }
        };
        let warmup = self.count / 10;
        let mut counted_since = 0.0;
        while self.finished < warmup + self.count {
            let Scheduled { time, event } = self.events.pop().expect("the load does not end");
            self.now = time;
            let before = self.finished;
            match event {
                Event::TaskEnds { machine, version } => {
                    if self.machines[machine].version == version {
                        self.end_tasks(machine);
                    }
                }
                Event::VisitBegins { request } => self.begin_visit(request),
                Event::RequestArrives => {
                    let delay = self.random.exponential(gap);
                    self.schedule(delay, Event::RequestArrives);
                    self.begin_request();
                }
            }
            if before < warmup && self.finished >= warmup {
                counted_since = self.now;
                self.latencies.clear();
            }
        }
        self.latencies.sort_by(f64::total_cmp);
        Prediction { rate: self.latencies.len() as f64 / (self.now - counted_since) * 1e9, latencies: self.latencies }
    }

    fn schedule(&mut self, delay: f64, event: Event) {
        self.events.push(Scheduled { time: self.now + delay, event });
    }

    fn begin_request(&mut self) {
        let visits = (self.path)(&mut self.random, self.begun).into();
        self.begun += 1;
        let request = Request { started: self.now, visits };
        let id = match self.unused.pop() {
            Some(id) => {
                self.requests[id] = request;
                id
            }
            None => {
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.continue_request(id);
    }

    /// Sends a request to its next process, or ends it.
    fn continue_request(&mut self, id: usize) {
        match self.requests[id].visits.front() {
            Some(visit) => {
                let delay = visit.delay;
                self.schedule(delay, Event::VisitBegins { request: id });
            }
            None => {
                self.latencies.push(self.now - self.requests[id].started);
                self.finished += 1;
                self.unused.push(id);
                if self.closed {
                    self.begin_request();
                }
            }
        }
    }

    fn begin_visit(&mut self, id: usize) {
        let visit = self.requests[id].visits.pop_front().expect("a request that was sent on has a next visit");
        let machine = self.machine_of[visit.process];
        self.count_work(machine);
        let request = (!visit.background).then_some(id);
        self.queues[visit.process].push_back(Task { request, left: visit.nanos });
        self.schedule_next_end(machine);
        if visit.background {
            self.continue_request(id);
        }
    }

    /// The speed of each busy process of a machine, as a share of a core.
    fn speed(&self, machine: &Machine) -> f64 {
        let busy = machine.processes.iter().filter(|process| !self.queues[**process].is_empty()).count();
        (machine.cores / busy.max(1) as f64).min(1.0)
    }

    /// Subtracts the work that was done since the last change.
    fn count_work(&mut self, machine: usize) {
        let speed = self.speed(&self.machines[machine]);
        let machine = &mut self.machines[machine];
        let work = (self.now - machine.counted) * speed;
        machine.counted = self.now;
        for process in &machine.processes {
            if let Some(task) = self.queues[*process].front_mut() {
                task.left -= work;
            }
        }
    }

    fn schedule_next_end(&mut self, id: usize) {
        let machine = &self.machines[id];
        let left = machine.processes.iter().filter_map(|process| self.queues[*process].front()).map(|task| task.left);
        let shortest = left.fold(f64::INFINITY, f64::min);
        let delay = shortest.max(0.0) / self.speed(machine);
        self.machines[id].version += 1;
        if shortest.is_finite() {
            self.schedule(delay, Event::TaskEnds { machine: id, version: self.machines[id].version });
        }
    }

    /// Ends the tasks of a machine whose work is done.
    fn end_tasks(&mut self, machine: usize) {
        self.count_work(machine);
        // A rounding error must not leave a task with a billionth of its work.
        const NOTHING: f64 = 1e-3;
        let mut ended = Vec::new();
        for process in &self.machines[machine].processes {
            let queue = &mut self.queues[*process];
            if queue.front().is_some_and(|task| task.left <= NOTHING) {
                ended.extend(queue.pop_front().and_then(|task| task.request));
            }
        }
        self.schedule_next_end(machine);
        for request in ended {
            self.continue_request(request);
        }
    }
}
