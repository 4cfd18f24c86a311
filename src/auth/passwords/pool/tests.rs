//! The queue and its threads, with work that lasts as long as a test likes.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Waker};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn bounds(threads: usize, room: usize, deadline: Duration) -> Bounds {
    Bounds { threads, room, deadline, guess: Duration::ZERO, keep_kib: 64 }
}

fn pool(room: usize, deadline: Duration) -> Pool {
    Pool::start(bounds(1, room, deadline)).unwrap()
}

async fn run<T: Send + 'static>(pool: &Pool, work: impl FnOnce(&mut Memory) -> T + Send + 'static) -> Result<T, Busy> {
    pool.place()?.run(1, work).await
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

/// Keeps the only thread at work until the sender is used or dropped.
fn hold(pool: &Pool) -> (impl Future<Output = Result<(), Busy>> + '_, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel();
    let work = run(pool, move |_| {
        let _ = held.recv();
    });
    (work, release)
}

#[tokio::test]
async fn a_full_queue_turns_away_at_once() {
    let pool = pool(2, 60 * SECOND);
    let (held, release) = hold(&pool);
    let (mut held, mut first, mut second) = (pin!(held), pin!(run(&pool, |_| 1)), pin!(run(&pool, |_| 2)));
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    begin(first.as_mut());
    begin(second.as_mut());
    assert_eq!(run(&pool, |_| 3).await, Err(Busy));
    assert_eq!((pool.load().waiting, pool.load().shed_full), (2, 1));
    drop(release);
    assert_eq!((held.await, first.await, second.await), (Ok(()), Ok(1), Ok(2)));
    until("all is counted", || pool.load().done == 3 && pool.load().running == 0);
}

#[tokio::test]
async fn a_job_that_waited_too_long_is_not_done() {
    let pool = pool(2, Duration::from_millis(20));
    let done = Arc::new(AtomicBool::new(false));
    let (held, release) = hold(&pool);
    let mut held = pin!(held);
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    let mut late = pin!(run(&pool, {
        let done = Arc::clone(&done);
        move |_| done.store(true, Ordering::SeqCst)
    }));
    let since = Instant::now();
    begin(late.as_mut());
    until("the deadline passes", || since.elapsed() > Duration::from_millis(20));
    drop(release);
    assert_eq!(late.await, Err(Busy));
    assert_eq!(pool.load().shed_late, 1);
    assert!(!done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn who_went_away_costs_neither_work_nor_room() {
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
    assert_eq!((pool.load().abandoned, pool.load().shed_full), (1, 0));
    assert!(!done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_panic_costs_one_answer() {
    let pool = pool(1, 60 * SECOND);
    assert_eq!(run(&pool, |_| -> u8 { panic!("meant to") }).await, Err(Busy));
    assert_eq!(run(&pool, |_| 7).await, Ok(7));
}

#[tokio::test]
async fn the_end_joins_the_threads_and_answers_who_waits() {
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
    assert_eq!(worked.await, Ok(true), "what is under way is finished");
    assert!(waited.await.is_err(), "what waits is answered");
    assert_eq!(Arc::strong_count(&shared), 1, "a thread is still there");
}

#[tokio::test]
async fn no_more_are_at_work_than_there_are_threads() {
    let pool = Pool::start(bounds(2, 8, 60 * SECOND)).unwrap();
    let ((first, release_first), (second, release_second), (third, release_third)) =
        (hold(&pool), hold(&pool), hold(&pool));
    let (mut first, mut second, mut third) = (pin!(first), pin!(second), pin!(third));
    begin(first.as_mut());
    begin(second.as_mut());
    begin(third.as_mut());
    until("both threads are at work", || pool.load().running == 2);
    assert_eq!(pool.load().waiting, 1);
    drop(release_first);
    assert_eq!(first.await, Ok(()));
    until("the third has its turn", || pool.load().waiting == 0 && pool.load().running == 2);
    drop((release_second, release_third));
    assert_eq!((second.await, third.await), (Ok(()), Ok(())));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_threads_let_others_go_first_and_only_they_do() {
    let outside = || rustix::process::getpriority_process(None).unwrap();
    let before = outside();
    let pool = pool(1, 60 * SECOND);
    let inside = run(&pool, move |_| outside()).await;
    assert_eq!((inside, outside()), (Ok((before + 10).min(19)), before));
}

#[tokio::test]
async fn who_would_not_have_a_turn_in_half_the_time_is_turned_away_at_once() {
    let pool = Pool::start(Bounds { guess: SECOND, ..bounds(1, 100, 4 * SECOND) }).unwrap();
    let (held, release) = hold(&pool);
    let mut held = pin!(held);
    begin(held.as_mut());
    until("the thread takes the job", || pool.load().running == 1);
    // After nothing, one and two seconds, as far as anybody knows.
    let mut waiting = [1, 2, 3].map(|number| Box::pin(run(&pool, move |_| number)));
    waiting.iter_mut().for_each(|one| begin(one.as_mut()));
    assert_eq!(run(&pool, |_| 4).await, Err(Busy));
    assert_eq!((pool.load().waiting, pool.load().shed_full), (3, 1));
    drop(release);
    for (one, number) in waiting.into_iter().zip(1..) {
        assert_eq!(one.await, Ok(number));
    }
}

#[tokio::test]
async fn what_the_work_takes_is_learnt_from_it() {
    let pool = Pool::start(Bounds { guess: 100 * SECOND, ..bounds(1, 100, 60 * SECOND) }).unwrap();
    let first = pool.place().unwrap();
    assert!(pool.place().is_err(), "so slow a thing is waited for by nobody");
    drop(first);
    for _ in 0..100 {
        assert_eq!(run(&pool, |_| ()).await, Ok(()));
    }
    until("all is counted", || pool.load().done == 100);
    let many = (0..50).map(|_| pool.place().unwrap()).collect::<Vec<_>>();
    assert_eq!(many.len(), 50);
}

#[tokio::test]
async fn a_place_is_kept_until_it_is_used_or_dropped() {
    let pool = pool(2, 60 * SECOND);
    let (first, second) = (pool.place().unwrap(), pool.place().unwrap());
    assert!(pool.place().is_err());
    drop(first);
    assert_eq!(pool.place().unwrap().run(1, |_| 1).await, Ok(1));
    assert_eq!(second.run(1, |_| 2).await, Ok(2));
    let again = (pool.place().unwrap(), pool.place().unwrap());
    assert!(pool.place().is_err(), "{:?}", pool.load());
    drop(again);
}
