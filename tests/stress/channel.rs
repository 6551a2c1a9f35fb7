//! Every way to send beside every way to receive, on one channel, with timeouts and cancellations that strike at
//! any moment: what was sent is received, once.

use aqueduct::channel::{Receiver, RecvCtxError, RecvTimeoutError, Sender, TryRecvError, bounded};
use aqueduct::park::{block_on, block_on_timeout};
use aqueduct::{Context, thread};
use aqueduct_tests::share;
use std::pin::pin;
use std::time::Duration;

fn values() -> usize {
    share(20_000)
}
/// Short enough to strike in the middle of everything.
const MOMENT: Duration = Duration::from_micros(20);

type Send = fn(&Sender<usize>, usize);
type Collect = fn(&Receiver<usize>, &mut Vec<usize>);

const SENDS: [Send; 5] = [
    |sender, value| sender.send(value).unwrap(),
    |sender, mut value| {
        while let Err(refused) = sender.try_send(value) {
            value = refused.into_inner();
            std::thread::yield_now();
        }
    },
    |sender, mut value| {
        while let Err(late) = sender.send_timeout(value, MOMENT) {
            value = late.into_inner();
        }
    },
    |sender, mut value| {
        let root = Context::background();
        while let Err(late) = sender.send_ctx(&root.with_timeout(MOMENT), value) {
            value = late.into_inner();
        }
    },
    |sender, mut value| {
        // A task that is dropped while it waits, and tries again.
        loop {
            let mut sending = sender.send_async(value);
            match block_on_timeout(pin!(&mut sending), MOMENT) {
                Some(sent) => return sent.unwrap(),
                None => match sending.into_value() {
                    Some(unsent) => value = unsent,
                    // Where there is no room, a receiver may have taken it meanwhile.
                    None => return,
                },
            }
        }
    },
];

const COLLECTS: [Collect; 6] = [
    |receiver, got| got.extend(receiver.iter()),
    |receiver, got| while receiver.recv_many(got, 3) > 0 {},
    |receiver, got| {
        loop {
            match receiver.recv_timeout(MOMENT) {
                Ok(value) => got.push(value),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    },
    |receiver, got| {
        let root = Context::background();
        loop {
            match receiver.recv_ctx(&root.with_timeout(MOMENT)) {
                Ok(value) => got.push(value),
                Err(RecvCtxError::Done(_)) => {}
                Err(RecvCtxError::Disconnected) => return,
            }
        }
    },
    |receiver, got| {
        loop {
            match block_on_timeout(pin!(receiver.recv_async()), MOMENT) {
                Some(Ok(value)) => got.push(value),
                Some(Err(_)) => return,
                None => {}
            }
        }
    },
    |receiver, got| {
        loop {
            match receiver.try_recv() {
                Ok(value) => got.push(value),
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                Err(TryRecvError::Disconnected) => return,
            }
        }
    },
];

fn transfer(capacity: usize, sends: &[Send], collects: &[Collect]) {
    let (sender, receiver) = bounded(capacity);
    let mut got = thread::scope(|scope| {
        for (nth, send) in sends.iter().enumerate() {
            let sender = sender.clone();
            let producer = move || {
                (nth..values()).step_by(sends.len()).for_each(|value| send(&sender, value));
            };
            scope.spawn(producer).expect("a thread");
        }
        drop(sender);
        let collectors = collects.iter().map(|collect| {
            let receiver = receiver.clone();
            let collector = move || {
                let mut got = Vec::new();
                collect(&receiver, &mut got);
                got
            };
            scope.spawn(collector).expect("a thread")
        });
        let collectors = collectors.collect::<Vec<_>>();
        collectors.into_iter().flat_map(|got| got.join().unwrap()).collect::<Vec<_>>()
    })
    .unwrap();
    got.sort_unstable();
    assert!(got.into_iter().eq(0..values()), "capacity {capacity}");
}

#[test]
fn every_send_beside_every_receive() {
    for capacity in [0, 1, 2, 7] {
        transfer(capacity, &SENDS, &COLLECTS);
    }
}

#[test]
fn every_send_with_every_receive_alone() {
    for send in SENDS {
        for collect in COLLECTS {
            transfer(1, &[send], &[collect]);
            transfer(3, &[send], &[collect]);
            // Two who only try never meet where there is no room.
            if !(std::ptr::fn_addr_eq(send, SENDS[1]) && std::ptr::fn_addr_eq(collect, COLLECTS[5]))
            {
                transfer(0, &[send], &[collect]);
            }
        }
    }
}

/// Sleepers only: a wake-up that got lost is not made good by somebody who tries.
#[test]
fn sleepers_alone_lose_no_wake_up() {
    let asynchronous: Send = |sender, value| block_on(sender.send_async(value)).unwrap();
    let collect: Collect = |receiver, got| {
        block_on(async {
            while let Ok(value) = receiver.recv_async().await {
                got.push(value);
            }
        });
    };
    for capacity in [0, 1, 3] {
        transfer(capacity, &[asynchronous; 4], &[collect; 4]);
    }
}

/// From one producer to one consumer, values come in the order in which they were sent.
#[test]
fn order_is_kept() {
    for capacity in [0, 1, 2, 5] {
        let (sender, receiver) = bounded(capacity);
        let producer = thread::spawn(move || {
            for value in 0..values() {
                SENDS[value % SENDS.len()](&sender, value);
            }
        })
        .unwrap();
        assert!(receiver.iter().eq(0..values()));
        producer.join().unwrap();
    }
}
