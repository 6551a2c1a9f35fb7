//! Programs as one writes them for `tokio::sync`, each compiled twice: against tokio's types, and against ours.
//!
//! What would have to be changed in them is in the table of `std-adapter/README.md`.

/// The programs, over whatever module `sync` is.
macro_rules! programs {
    ($name:ident, $sync:path) => {
        mod $name {
            use std::future::Future;
            use std::sync::Arc;
            use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
            use std::task::{Context, Waker};
            use sync::{
                AcquireError, Mutex, MutexGuard, OwnedSemaphorePermit, RwLock, RwLockReadGuard,
                RwLockWriteGuard, Semaphore, SemaphorePermit, TryAcquireError,
            };
            use $sync as sync;

            static REQUESTS: Semaphore = Semaphore::const_new(2);

            fn run(program: impl Future<Output = ()>) {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                runtime.worker_threads(2).build().unwrap().block_on(program);
            }

            fn is_pending(future: &mut std::pin::Pin<Box<impl Future>>) -> bool {
                future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
            }

            /// Limits how many requests are under way, with permits that are moved into tasks.
            #[test]
            fn a_limit_on_requests() {
                run(async {
                    let semaphore = Arc::new(Semaphore::new(3));
                    let (now, most) =
                        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                    let mut handles = Vec::new();
                    for _ in 0..50 {
                        let permit: OwnedSemaphorePermit =
                            semaphore.clone().acquire_owned().await.unwrap();
                        let (now, most) = (now.clone(), most.clone());
                        handles.push(tokio::spawn(async move {
                            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                            tokio::task::yield_now().await;
                            now.fetch_sub(1, SeqCst);
                            drop(permit);
                        }));
                    }
                    for handle in handles {
                        handle.await.unwrap();
                    }
                    assert!((1..=3).contains(&most.load(SeqCst)));
                    assert_eq!(semaphore.available_permits(), 3);
                });
            }

            async fn in_a_static() -> Result<usize, AcquireError> {
                let one: SemaphorePermit<'static> = REQUESTS.acquire().await?;
                let many = REQUESTS.acquire_many(1).await?;
                assert_eq!(REQUESTS.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
                drop((one, many));
                Ok(REQUESTS.available_permits())
            }

            #[test]
            fn a_semaphore_in_a_static() {
                run(async { assert_eq!(in_a_static().await.unwrap(), 2) });
            }

            /// Permits that are forgotten, split, added and taken away; and the close, which tells those who wait.
            #[test]
            fn permits_and_the_close() {
                run(async {
                    let semaphore = Arc::new(Semaphore::new(4));
                    semaphore.acquire().await.unwrap().forget();
                    let mut three = semaphore.try_acquire_many(3).unwrap();
                    let one = three.split(1).unwrap();
                    assert_eq!((three.num_permits(), one.num_permits()), (2, 1));
                    drop((three, one));
                    assert_eq!(semaphore.forget_permits(10), 3);
                    let mut waiting = Box::pin(semaphore.acquire());
                    assert!(is_pending(&mut waiting));
                    let _ = semaphore.add_permits(1);
                    drop(waiting.await.unwrap());
                    let all = semaphore.clone().try_acquire_many_owned(1).unwrap();
                    let waiter = tokio::spawn({
                        let semaphore = semaphore.clone();
                        async move { semaphore.acquire_many(1).await.is_err() }
                    });
                    tokio::task::yield_now().await;
                    semaphore.close();
                    assert!(waiter.await.unwrap() && semaphore.is_closed());
                    assert!(matches!(semaphore.try_acquire(), Err(TryAcquireError::Closed)));
                    drop(all);
                });
            }

            /// A table that many tasks read and a few write.
            #[test]
            fn readers_and_writers() {
                run(async {
                    let table = Arc::new(RwLock::new(vec![0_usize; 4]));
                    let mut handles = Vec::new();
                    for task in 0..8 {
                        let table = table.clone();
                        handles.push(tokio::spawn(async move {
                            for _ in 0..100 {
                                if task % 4 == 0 {
                                    let mut rows: RwLockWriteGuard<'_, Vec<usize>> =
                                        table.write().await;
                                    rows.iter_mut().for_each(|row| *row += 1);
                                    tokio::task::yield_now().await;
                                } else {
                                    let rows: RwLockReadGuard<'_, Vec<usize>> = table.read().await;
                                    assert!(rows.iter().all(|row| *row == rows[0]));
                                }
                            }
                        }));
                    }
                    for handle in handles {
                        handle.await.unwrap();
                    }
                    let rows = table.write().await;
                    assert!(table.try_read().is_err() && table.try_write().is_err());
                    let rows = RwLockWriteGuard::downgrade(rows);
                    assert!(table.try_read().is_ok());
                    let first = RwLockReadGuard::map(rows, |rows| &rows[0]);
                    assert_eq!(*first, 200);
                    drop(first);
                    let mut table = Arc::into_inner(table).unwrap();
                    table.get_mut().clear();
                    assert!(table.into_inner().is_empty());
                });
            }

            /// A value that is kept locked across an await.
            #[test]
            fn a_mutex_across_an_await() {
                run(async {
                    let count = Arc::new(Mutex::new(0));
                    let tasks = (0..4).map(|_| {
                        let count = count.clone();
                        tokio::spawn(async move {
                            for _ in 0..50 {
                                let mut count: MutexGuard<'_, i32> = count.lock().await;
                                let seen = *count;
                                tokio::task::yield_now().await;
                                *count = seen + 1;
                            }
                        })
                    });
                    for task in tasks.collect::<Vec<_>>() {
                        task.await.unwrap();
                    }
                    assert_eq!(*count.try_lock().unwrap(), 200);
                    assert_eq!(*MutexGuard::map(count.lock().await, |count| count), 200);
                });
            }
        }
    };
}

programs!(over_tokio, tokio::sync);
programs!(over_aqueduct, aqueduct::sync);
