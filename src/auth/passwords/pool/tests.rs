//! The queue and its threads, with jobs that last as long as a test needs.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Waker};

use futures_util::future::select;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limits(threads: usize, queue: usize, deadline: Duration) -> Limits {
    Limits { threads, queue, deadline, hold: 60 * SECOND, initial_estimate: Duration::ZERO, retained_kib: 64 }
}

fn pool(queue: usize, deadline: Duration) -> Pool {
    Pool::start(limits(1, queue, deadline)).unwrap()
}

impl Pool {
    /// As `acquire_slot`, but is not held if there is none.
    fn reserve_slot(&self) -> Result<Slot, Busy> {
        self.shared.lock().reserve(self.shared.limits).then(|| Slot(Arc::clone(&self.shared))).ok_or(Busy)
    }
}

async fn run<T: Send + 'static>(pool: &Pool, work: impl FnOnce(&mut Memory) -> T + Send + 'static) -> Result<T, Busy> {
    pool.reserve_slot()?.run(1, work).await
}

fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < 20 * SECOND, "{what}");
        std::thread::yield_now();
    }
}

fn begin<F: Future>(future: std::pin::Pin<&mut F>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Occupies the only thread until the sender is used or dropped.
fn hold(pool: &Pool) -> (impl Future<Output = Result<(), Busy>> + '_, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel();
    let work = run(pool, move |_| {
        let _ = held.recv();
    });
    (work, release)
}

#[tokio::test]
async fn full_queue_rejects_immediately() {
    let pool = pool(2, 60 * SECOND);
    let (held, release) = hold(&pool);
    let (mut held, mut first, mut second) = (pin!(held), pin!(run(&pool, |_| 1)), pin!(run(&pool, |_| 2)));
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    begin(first.as_mut());
    begin(second.as_mut());
    assert_eq!(run(&pool, |_| 3).await, Err(Busy));
    assert_eq!(pool.load().waiting, 2);
    drop(release);
    assert_eq!((held.await, first.await, second.await), (Ok(()), Ok(1), Ok(2)));
    until("all jobs are counted", || pool.load().done == 3 && pool.load().running == 0);
}

#[tokio::test]
async fn job_past_its_deadline_is_not_run() {
    let deadline = 60 * SECOND;
    let pool = pool(2, deadline);
    let done = Arc::new(AtomicBool::new(false));
    let (held, release) = hold(&pool);
    let mut held = pin!(held);
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    let mut late = pin!(run(&pool, {
        let done = Arc::clone(&done);
        move |_| done.store(true, Ordering::SeqCst)
    }));
    begin(late.as_mut());
    // As if it had been queued so long ago.
    pool.shared.lock().waiting[0].since -= deadline;
    drop(release);
    assert_eq!(late.await, Err(Busy));
    assert_eq!(pool.load().shed_late, 1);
    assert!(!done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn abandoned_job_takes_no_slot_and_is_not_run() {
    let pool = pool(1, 60 * SECOND);
    let done = Arc::new(AtomicBool::new(false));
    let (held, release) = hold(&pool);
    let mut held = pin!(held);
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    {
        let done = Arc::clone(&done);
        begin(pin!(run(&pool, move |_| done.store(true, Ordering::SeqCst))));
    }
    let mut next = pin!(run(&pool, |_| 7));
    begin(next.as_mut());
    drop(release);
    assert_eq!(next.await, Ok(7));
    assert_eq!(pool.load().abandoned, 1);
    assert!(!done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn panic_fails_only_its_own_job() {
    let pool = pool(1, 60 * SECOND);
    assert_eq!(run(&pool, |_| -> u8 { panic!("meant to") }).await, Err(Busy));
    assert_eq!(run(&pool, |_| 7).await, Ok(7));
}

#[tokio::test]
async fn dropping_the_pool_fails_waiting_jobs() {
    let pool = pool(1, 60 * SECOND);
    let shared = Arc::clone(&pool.shared);
    let (release, held) = mpsc::channel::<()>();
    let (working, worked) = oneshot::channel();
    shared.queue(Box::new(Task { work: move |_: &mut Memory| held.recv().is_err(), hashes: 1, reply: working }));
    until("the thread takes the job", || pool.load().running == 1);
    let (waiting, waited) = oneshot::channel();
    shared.queue(Box::new(Task { work: |_: &mut Memory| (), hashes: 1, reply: waiting }));
    let end = std::thread::spawn(move || drop(pool));
    until("the queue is closed", || shared.lock().closed);
    drop(release);
    end.join().unwrap();
    assert_eq!(worked.await, Ok(true), "a running job is finished");
    assert!(waited.await.is_err(), "a waiting job is failed");
    assert_eq!(Arc::strong_count(&shared), 1, "a thread is still there");
}

#[tokio::test]
async fn no_more_jobs_run_than_there_are_threads() {
    let pool = Pool::start(limits(2, 8, 60 * SECOND)).unwrap();
    let ((first, release_first), (second, release_second), (third, release_third)) =
        (hold(&pool), hold(&pool), hold(&pool));
    let (mut first, mut second, mut third) = (pin!(first), pin!(second), pin!(third));
    begin(first.as_mut());
    begin(second.as_mut());
    begin(third.as_mut());
    until("both threads are running a job", || pool.load().running == 2);
    assert_eq!(pool.load().waiting, 1);
    drop(release_first);
    assert_eq!(first.await, Ok(()));
    until("the third job runs", || pool.load().waiting == 0 && pool.load().running == 2);
    drop((release_second, release_third));
    assert_eq!((second.await, third.await), (Ok(()), Ok(())));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn only_pool_threads_lower_their_priority() {
    let outside = || rustix::process::getpriority_process(None).unwrap();
    let before = outside();
    let pool = pool(1, 60 * SECOND);
    let inside = run(&pool, move |_| outside()).await;
    assert_eq!((inside, outside()), (Ok((before + 10).min(19)), before));
}

#[tokio::test]
async fn job_expected_to_wait_half_the_deadline_is_rejected() {
    let pool = Pool::start(Limits { initial_estimate: SECOND, ..limits(1, 100, 4 * SECOND) }).unwrap();
    let (held, release) = hold(&pool);
    let mut held = pin!(held);
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    // Expected to start after 0, 1 and 2 seconds.
    let mut waiting = [1, 2, 3].map(|number| Box::pin(run(&pool, move |_| number)));
    waiting.iter_mut().for_each(|one| begin(one.as_mut()));
    assert_eq!(run(&pool, |_| 4).await, Err(Busy));
    assert_eq!(pool.load().waiting, 3);
    drop(release);
    for (one, number) in waiting.into_iter().zip(1..) {
        assert_eq!(one.await, Ok(number));
    }
}

#[tokio::test]
async fn every_hash_of_a_waiting_job_counts() {
    let pool = Pool::start(Limits { initial_estimate: SECOND, ..limits(1, 100, 8 * SECOND) }).unwrap();
    let (held, release) = hold(&pool);
    let mut held = pin!(held);
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    let mut several = Box::pin(async { pool.reserve_slot()?.run(5, |_| 5).await });
    begin(several.as_mut());
    assert_eq!(run(&pool, |_| 1).await, Err(Busy));
    drop(release);
    assert_eq!(several.await, Ok(5));
}

#[tokio::test]
async fn estimate_follows_the_measured_time() {
    let pool = Pool::start(Limits { initial_estimate: 100 * SECOND, ..limits(1, 100, 60 * SECOND) }).unwrap();
    let first = pool.reserve_slot().unwrap();
    assert!(pool.reserve_slot().is_err(), "a second slow job cannot be in time");
    drop(first);
    for _ in 0..100 {
        assert_eq!(run(&pool, |_| ()).await, Ok(()));
    }
    until("all jobs are counted", || pool.load().done == 100);
    let many = (0..50).map(|_| pool.reserve_slot().unwrap()).collect::<Vec<_>>();
    assert_eq!(many.len(), 50);
}

#[tokio::test]
async fn slot_is_reserved_until_used_or_dropped() {
    let pool = pool(2, 60 * SECOND);
    let (first, second) = (pool.reserve_slot().unwrap(), pool.reserve_slot().unwrap());
    assert!(pool.reserve_slot().is_err());
    drop(first);
    assert_eq!(pool.reserve_slot().unwrap().run(1, |_| 1).await, Ok(1));
    assert_eq!(second.run(1, |_| 2).await, Ok(2));
    let again = (pool.reserve_slot().unwrap(), pool.reserve_slot().unwrap());
    assert!(pool.reserve_slot().is_err(), "{:?}", pool.load());
    drop(again);
}

#[tokio::test]
async fn held_requests_get_free_slots_in_order() {
    let pool = pool(1, 60 * SECOND);
    let slot = pool.reserve_slot().unwrap();
    let (mut first, mut second) = (Box::pin(pool.acquire_slot(None)), Box::pin(pool.acquire_slot(None)));
    let mut gone = Box::pin(pool.acquire_slot(None));
    begin(gone.as_mut());
    begin(first.as_mut());
    begin(second.as_mut());
    assert_eq!(pool.load().held, 3);
    drop(gone);
    drop(slot);
    let Ok(slot) = first.await else { panic!("the slot that was released") };
    begin(second.as_mut());
    assert_eq!(slot.run(1, |_| 1).await, Ok(1));
    let Ok(slot) = second.await else { panic!("the slot of the job that was run") };
    assert_eq!(pool.load().held, 0);
    // A slot that was granted to a request that then ends is released.
    let mut third = Box::pin(pool.acquire_slot(None));
    begin(third.as_mut());
    drop(slot);
    drop(third);
    assert!(pool.reserve_slot().is_ok());
    assert_eq!(pool.load().shed_full, 0);
}

#[tokio::test]
async fn a_client_with_many_networks_keeps_nobody_out() {
    let pool = pool(1, 60 * SECOND);
    let slot = pool.reserve_slot().unwrap();
    let acquire = |address: &str| Box::pin(pool.acquire_slot(Some(address.parse().unwrap())));
    let (mut first, mut second) = (acquire("2001:db8:1::1"), acquire("2001:db8:2::1"));
    let mut other = acquire("198.51.100.7");
    begin(first.as_mut());
    begin(second.as_mut());
    begin(other.as_mut());
    drop(slot);
    // Either block may be the first.
    let (slot, next) = select(first, other).await.factor_first();
    assert!(slot.is_ok());
    drop(slot);
    let slot = next.await;
    assert!(slot.is_ok(), "each block has one slot before a block has two");
    begin(second.as_mut());
    drop(slot);
    assert!(second.await.is_ok());
}

#[tokio::test]
async fn a_request_that_is_held_in_vain_is_rejected_and_counted_once() {
    let pool = Pool::start(Limits { hold: Duration::from_millis(1), ..limits(1, 1, 60 * SECOND) }).unwrap();
    let slot = pool.reserve_slot().unwrap();
    for refused in 1..4 {
        assert!(pool.acquire_slot(None).await.is_err());
        assert_eq!((pool.load().shed_full, pool.load().held), (refused, 0));
    }
    drop(slot);
    assert!(pool.acquire_slot(None).await.is_ok());
}

#[tokio::test]
async fn beyond_the_bound_requests_are_rejected_and_not_held() {
    let pool = pool(1, 60 * SECOND);
    let slot = pool.reserve_slot().unwrap();
    let address = |number: usize| IpAddr::from(Ipv4Addr::from_bits((number as u32) << 16));
    let acquire = |number: usize| Box::pin(pool.acquire_slot(Some(address(number))));
    let mut held: Vec<_> = (0..held::MAX_HELD).map(acquire).collect();
    held.iter_mut().for_each(|one| begin(one.as_mut()));
    assert!(pool.acquire_slot(None).await.is_err());
    assert_eq!((pool.load().shed_full, pool.load().held), (1, held::MAX_HELD));
    drop(held);
    drop(slot);
    assert!(pool.acquire_slot(None).await.is_ok());
}

/// Jobs go to the other threads while the priority is raised, and back afterwards.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn jobs_run_at_the_process_priority_beside_busy_programs() {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let pool = pool(8, 60 * SECOND);
    let starved = JobTimes { elapsed: SECOND, thread: SECOND / 100, process: SECOND / 100 };
    let now = Instant::now();
    let raise = |at| pool.shared.lock().hash_times.record(at, 1, starved, Priority::Low);
    // Until a minute later, so that it does not end during this test.
    raise(now + 60 * SECOND);
    assert_eq!(run(&pool, move |_| nice()).await, Ok(nice()));
    assert_eq!(pool.load().raised, 1);
    raise(now.checked_sub(60 * SECOND).unwrap());
    assert_eq!(run(&pool, move |_| nice()).await, Ok((nice() + 10).min(19)));
    assert_eq!(pool.load().raised, 1);
}
