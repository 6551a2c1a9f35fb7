//! Programs as they are written for crossbeam-channel: a changed `use` is all.

use aqueduct::channel as crossbeam_channel;
use crossbeam_channel::{
    Receiver, RecvError, RecvTimeoutError, Select, SelectTimeoutError, SendError, SendTimeoutError,
    Sender, TryReadyError, TryRecvError, TrySelectError, TrySendError, after, at, bounded, never,
    select, select_biased, tick,
};
use std::collections::HashMap;
use std::error::Error;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::thread;
use std::time::{Duration, Instant};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Workers that share a receiver, results that come back, the end by dropping the senders.
#[test]
fn a_worker_pool() {
    let (jobs, queue) = bounded::<u64>(4);
    let (results, answers) = bounded(4);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (queue, results) = (queue.clone(), results.clone());
            thread::spawn(move || {
                for job in queue {
                    results.send((job, job * job)).unwrap();
                }
            })
        })
        .collect();
    drop((queue, results));
    let producer = thread::spawn(move || (0..100).for_each(|job| jobs.send(job).unwrap()));
    let squares: HashMap<_, _> = answers.into_iter().collect();
    assert!((0..100).all(|job| squares[&job] == job * job));
    producer.join().unwrap();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

/// The sieve of rendezvous channels.
#[test]
fn a_prime_sieve() {
    fn numbers() -> Receiver<u32> {
        let (sender, receiver) = bounded(0);
        thread::spawn(move || (2..).take_while(|&n| sender.send(n).is_ok()).count());
        receiver
    }
    fn without_multiples(input: Receiver<u32>, prime: u32) -> Receiver<u32> {
        let (sender, receiver) = bounded(0);
        thread::spawn(move || {
            for n in input.iter().filter(|n| n % prime != 0) {
                if sender.send(n).is_err() {
                    break;
                }
            }
        });
        receiver
    }
    let mut input = numbers();
    let mut primes = Vec::new();
    while primes.len() < 8 {
        let prime = input.recv().unwrap();
        primes.push(prime);
        input = without_multiples(input, prime);
    }
    assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19]);
}

/// Everybody is to be matched with somebody; who sends and who receives is left to the selection.
#[test]
fn a_matching() {
    let people = ["Anna", "Bob", "Cody", "Dave", "Eva"];
    let (sender, receiver) = bounded(1);
    let seek = |name: &'static str, sender: &Sender<&'static str>, receiver: &Receiver<_>| {
        select! {
            recv(receiver) -> peer => Some((peer.unwrap(), name)),
            send(sender, name) -> sent => {
                sent.unwrap();
                None
            }
        }
    };
    let pairs = thread::scope(|scope| {
        let seekers = people.map(|name| {
            let (sender, receiver) = (&sender, &receiver);
            scope.spawn(move || seek(name, sender, receiver))
        });
        seekers.into_iter().filter_map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(pairs.len(), 2);
    assert!(receiver.try_recv().is_ok(), "one is left");
}

/// A loop over requests, ticks and a time limit, with an arm that is switched off.
#[test]
fn an_event_loop() {
    let (requests, incoming) = bounded(0);
    let (quit, stop) = bounded::<()>(0);
    let server = thread::spawn(move || {
        let (ticker, limit, mut idle) = (tick(ms(1)), after(ms(60_000)), never::<Instant>());
        let (mut ticks, mut sum, mut is_done) = (0, 0, false);
        while !is_done {
            select! {
                recv(incoming) -> request => {
                    let (value, reply): (i32, Sender<i32>) = request.expect("a request");
                    sum += value;
                    reply.send(sum).unwrap();
                },
                recv(ticker) -> tick => { tick.unwrap(); ticks += 1; idle = at(Instant::now()); }
                recv(idle) -> _ => idle = never(),
                recv(stop) -> end => { assert_eq!(end, Err(RecvError)); is_done = true }
                recv(limit) -> _ => panic!("a minute"),
            }
        }
        (ticks, sum)
    });
    let (reply, answers) = bounded(10);
    for value in 1..=10 {
        requests.send((value, reply.clone())).unwrap();
    }
    assert_eq!(answers.iter().take(10).last(), Some(55));
    drop(quit);
    assert_eq!(server.join().unwrap().1, 55);
}

/// Any number of receivers; each leaves the selection when it has ended.
#[test]
fn a_dynamic_fan_in() {
    let receivers: Vec<Receiver<usize>> = (0..5)
        .map(|nth| {
            let (sender, receiver) = bounded(nth % 3);
            thread::spawn(move || (0..=nth).for_each(|_| sender.send(nth).unwrap()));
            receiver
        })
        .collect();
    let mut select = Select::new();
    for receiver in &receivers {
        select.recv(receiver);
    }
    let mut counts = [0; 5];
    let mut open = 5;
    while open > 0 {
        let oper = select.select();
        let index = oper.index();
        match oper.recv(&receivers[index]) {
            Ok(value) => {
                assert_eq!(value, index);
                counts[index] += 1;
            }
            Err(RecvError) => {
                select.remove(index);
                open -= 1;
            }
        }
    }
    assert_eq!(counts, [1, 2, 3, 4, 5]);
}

/// `ready` and a try, as one receives by hand.
#[test]
fn a_loop_by_readiness() {
    let (sender, receiver) = bounded(1);
    let (other, other_receiver) = bounded(1);
    let producers = [sender, other]
        .map(|sender| thread::spawn(move || (0..50).for_each(|value| sender.send(value).unwrap())));
    let receivers = [&receiver, &other_receiver];
    let mut select = Select::new();
    assert_eq!((select.recv(&receiver), select.recv(&other_receiver)), (0, 1));
    let (mut sum, mut open) = (0, 2);
    while open > 0 {
        let index = select.ready();
        match receivers[index].try_recv() {
            Ok(value) => sum += value,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                select.remove(index);
                open -= 1;
            }
        }
    }
    assert_eq!(sum, 2 * 49 * 50 / 2);
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    assert_eq!(Select::new().try_ready(), Err(TryReadyError));
    assert!(matches!(Select::new().try_select(), Err(TrySelectError)));
    assert!(matches!(Select::new().select_timeout(ms(0)), Err(SelectTimeoutError)));
}

/// Every way to ask, on both ends.
#[test]
fn the_calls_of_both_ends() {
    let (s, r) = bounded(2);
    assert_eq!((s.capacity(), s.len(), s.is_empty(), s.is_full()), (Some(2), 0, true, false));
    s.send(1).unwrap();
    assert_eq!(s.send_timeout(2, ms(10)), Ok(()));
    assert_eq!(s.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(s.send_timeout(3, ms(1)), Err(SendTimeoutError::Timeout(3)));
    assert_eq!(s.send_deadline(3, Instant::now()), Err(SendTimeoutError::Timeout(3)));
    assert_eq!((r.len(), r.is_full()), (2, true));
    assert_eq!(r.try_iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(r.recv_timeout(ms(1)), Err(RecvTimeoutError::Timeout));
    assert_eq!(r.recv_deadline(Instant::now() + ms(1)), Err(RecvTimeoutError::Timeout));
    let (s2, r2) = (s.clone(), r.clone());
    assert!(s.same_channel(&s2) && r.same_channel(&r2));
    s2.send(4).unwrap();
    drop((s, s2));
    let mut iter = r.iter();
    assert_eq!((iter.next(), iter.next()), (Some(4), None));
    assert_eq!((r.try_recv(), r.recv()), (Err(TryRecvError::Disconnected), Err(RecvError)));
    assert_eq!((&r2).into_iter().count(), 0);
}

/// What errors are, say, and become.
#[test]
fn errors_are_as_one_knows_them() {
    fn is_error<E: Error + Copy + Eq + Send + Sync + UnwindSafe + RefUnwindSafe + 'static>(
        error: E,
    ) {
        let boxed: Box<dyn Error + Send + Sync> = Box::new(error);
        assert!(!boxed.to_string().is_empty());
    }
    let sent = SendError(7);
    is_error(sent);
    assert_eq!((sent, sent.into_inner()), (SendError(7), 7));
    let (full, gone) = (TrySendError::Full(7), TrySendError::from(sent));
    is_error(full);
    assert!(full.is_full() && !full.is_disconnected() && gone.is_disconnected());
    assert_eq!((gone, gone.into_inner()), (TrySendError::Disconnected(7), 7));
    let (late, gone) = (SendTimeoutError::Timeout(7), SendTimeoutError::from(sent));
    is_error(late);
    assert!(late.is_timeout() && !late.is_disconnected() && gone.is_disconnected());
    assert_eq!(late.into_inner(), 7);
    is_error(RecvError);
    assert!(TryRecvError::from(RecvError).is_disconnected() && TryRecvError::Empty.is_empty());
    assert!(RecvTimeoutError::from(RecvError).is_disconnected());
    assert!(RecvTimeoutError::Timeout.is_timeout());
    is_error(TryRecvError::Empty);
    is_error(RecvTimeoutError::Timeout);
    is_error(SelectTimeoutError);
    is_error(TrySelectError);
    is_error(TryReadyError);
    // With a value that is neither `Debug` nor `Display`.
    struct Plain;
    let (s, r) = bounded(1);
    drop(r);
    assert_eq!(format!("{:?}", s.send(Plain).unwrap_err()), "SendError(..)");
    assert!(s.try_send(Plain).unwrap_err().to_string().contains("closed"));

    fn may_be_caught<T: UnwindSafe + RefUnwindSafe + Send + Sync>() {}
    may_be_caught::<Sender<std::cell::Cell<u8>>>();
    may_be_caught::<Receiver<std::cell::Cell<u8>>>();
    let first = select_biased! {
        recv(never::<u8>()) -> _ => 1,
        default(ms(0)) => 2,
    };
    assert_eq!(first, 2);
}
