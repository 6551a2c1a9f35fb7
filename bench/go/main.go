// Go's channels, locks, contexts and goroutines, doing the workloads of aqueduct-bench.
//
//	main FAMILY WORKLOAD OPS
//
// does so many operations, checks them as the other candidates are checked, and prints what they took
// as JSON. What each workload is, is told in the program beside this one, family by family.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type took struct {
	Ops      uint64 `json:"ops"`
	WallNs   int64  `json:"wall_ns"`
	SpanNs   int64  `json:"span_ns"`
	CPUNs    int64  `json:"cpu_ns"`
	Switches int64  `json:"switches"`
	// Nanoseconds at the median and at the 99th of a hundred, where single operations are measured.
	Latency []float64 `json:"latency,omitempty"`
	// The share of what was sent that has arrived, where a workload may drop some.
	Delivered *float64 `json:"delivered,omitempty"`
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: main FAMILY WORKLOAD OPS")
	}
	ops, err := strconv.ParseUint(os.Args[3], 10, 64)
	if err != nil {
		fail(err)
	}
	family, workload := os.Args[1], os.Args[2]
	switch family {
	case "channel":
		channels(workload, ops)
	case "select":
		selects(workload, ops)
	case "semaphore":
		semaphores(workload, ops)
	case "rwlock":
		rwlocks(workload, ops)
	case "pool":
		pools(workload, ops)
	case "context":
		contexts(workload, ops)
	case "pipeline":
		pipelines(workload, ops)
	case "planted":
		planted(ops)
	default:
		fail("no such family: ", family)
	}
}

func fail(what ...any) {
	fmt.Fprintln(os.Stderr, what...)
	os.Exit(1)
}

func unknown(workload string) { fail("no such workload: ", workload) }

func usage() (cpu, switches int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fail(err)
	}
	return u.Utime.Nano() + u.Stime.Nano(), u.Nvcsw + u.Nivcsw
}

// race runs the jobs on a goroutine each. They start together; the time counts from the first one's
// start to the last one's end.
func race(ops uint64, jobs ...func()) {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	starts, ends := make([]time.Time, len(jobs)), make([]time.Time, len(jobs))
	for at, job := range jobs {
		ready.Add(1)
		done.Add(1)
		go func(at int, job func()) {
			defer done.Done()
			ready.Done()
			<-gate
			starts[at] = time.Now()
			job()
			ends[at] = time.Now()
		}(at, job)
	}
	ready.Wait()
	runtime.GC()
	cpu, switches := usage()
	close(gate)
	done.Wait()
	cpuAfter, switchesAfter := usage()
	first, last := starts[0], ends[0]
	for at := range jobs {
		if starts[at].Before(first) {
			first = starts[at]
		}
		if ends[at].After(last) {
			last = ends[at]
		}
	}
	span := last.Sub(first).Nanoseconds()
	result = took{Ops: ops, WallNs: span, SpanNs: span, CPUNs: cpuAfter - cpu, Switches: switchesAfter - switches}
}

var result took

// report prints the result once all checks are through.
func report() {
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fail(err)
	}
}

// The checks: who sent an item and as which; what a receiver has seen of each sender.

func item(sender int, seq uint64) uint64 { return uint64(sender)<<48 | seq }

type lane struct{ next, count, sum, squares uint64 }

type seen []lane

func (s seen) take(item uint64) {
	sender, seq := int(item>>48), item&(1<<48-1)
	if sender >= len(s) {
		fail("an item that nobody sent")
	}
	l := &s[sender]
	if seq < l.next {
		fail("item ", seq, " of sender ", sender, " out of order")
	}
	l.next = seq + 1
	l.count++
	l.sum += seq
	l.squares += seq * seq
}

func settle(all []seen, sent []uint64) {
	for sender, n := range sent {
		var got, want lane
		for seq := uint64(0); seq < n; seq++ {
			want.count++
			want.sum += seq
			want.squares += seq * seq
		}
		for _, s := range all {
			got.count += s[sender].count
			got.sum += s[sender].sum
			got.squares += s[sender].squares
		}
		if got != want {
			fail("what arrived from sender ", sender, " is not what it sent")
		}
	}
}

func share(total uint64, parts int) []uint64 {
	n := uint64(parts)
	all := make([]uint64, parts)
	for part := range all {
		all[part] = total / n
		if uint64(part) < total%n {
			all[part]++
		}
	}
	return all
}

func sendAll(c chan<- uint64, sender int, items uint64) {
	for seq := uint64(0); seq < items; seq++ {
		c <- item(sender, seq)
	}
}

func channels(workload string, ops uint64) {
	if workload == "cap1/ping-pong" {
		pingPong(ops)
		return
	}
	var capacity, senders, receivers int
	// Go has no batches: it sends and receives one by one.
	plain := strings.Replace(workload, "batch16/", "", 1)
	if n, _ := fmt.Sscanf(plain, "cap%d/%dp%dc", &capacity, &senders, &receivers); n != 3 {
		unknown(workload)
	}
	c := make(chan uint64, capacity)
	sent, shares := share(ops, senders), share(ops, receivers)
	all := make([]seen, receivers)
	var jobs []func()
	for sender := range sent {
		sender := sender
		jobs = append(jobs, func() { sendAll(c, sender, sent[sender]) })
	}
	for receiver := range shares {
		receiver := receiver
		all[receiver] = make(seen, senders)
		jobs = append(jobs, func() {
			for n := uint64(0); n < shares[receiver]; n++ {
				all[receiver].take(<-c)
			}
		})
	}
	race(ops, jobs...)
	settle(all, sent)
	if len(c) != 0 {
		fail("an item is left over")
	}
	report()
}

func pingPong(ops uint64) {
	ping, pong := make(chan uint64, 1), make(chan uint64, 1)
	there, back := make(seen, 1), make(seen, 1)
	race(ops, func() {
		for seq := uint64(0); seq < ops; seq++ {
			ping <- item(0, seq)
			back.take(<-pong)
		}
	}, func() {
		for seq := uint64(0); seq < ops; seq++ {
			there.take(<-ping)
			pong <- item(0, seq)
		}
	})
	settle([]seen{there}, []uint64{ops})
	settle([]seen{back}, []uint64{ops})
	if len(ping)+len(pong) != 0 {
		fail("an item is left over")
	}
	report()
}

const arms = 4

func selects(workload string, ops uint64) {
	capacity := 1
	if strings.HasPrefix(workload, "cap") {
		if n, _ := fmt.Sscanf(workload, "cap%d/4p1s", &capacity); n != 1 {
			unknown(workload)
		}
	}
	var c [arms]chan uint64
	for at := range c {
		c[at] = make(chan uint64, capacity)
	}
	all, sent := make(seen, arms), share(ops, arms)
	any := func() uint64 {
		select {
		case item := <-c[0]:
			return item
		case item := <-c[1]:
			return item
		case item := <-c[2]:
			return item
		case item := <-c[3]:
			return item
		}
	}
	switch workload {
	case "ready":
		race(ops, func() {
			for n := uint64(0); n < ops; n++ {
				c[n%arms] <- item(int(n%arms), n/arms)
				all.take(any())
			}
		})
	case "idle":
		race(ops, func() {
			for n := uint64(0); n < ops; n++ {
				select {
				case <-c[0]:
					fail("an item that nobody sent")
				case <-c[1]:
					fail("an item that nobody sent")
				case <-c[2]:
					fail("an item that nobody sent")
				case <-c[3]:
					fail("an item that nobody sent")
				default:
				}
			}
		})
		report()
		return
	default:
		jobs := []func(){func() {
			for n := uint64(0); n < ops; n++ {
				all.take(any())
			}
		}}
		for arm := range c {
			arm := arm
			jobs = append(jobs, func() { sendAll(c[arm], arm, sent[arm]) })
		}
		race(ops, jobs...)
	}
	settle([]seen{all}, sent)
	for _, c := range c {
		if len(c) != 0 {
			fail("an item is left over")
		}
	}
	report()
}

// A semaphore in Go is a channel with room for as many as there are permits.
func semaphores(workload string, ops uint64) {
	const permits = 2
	threads := map[string]int{"uncontended": 1, "4t2p": 4, "4t2p/held": 4}[workload]
	if threads == 0 {
		unknown(workload)
	}
	held := strings.HasSuffix(workload, "/held")
	semaphore := make(chan struct{}, permits)
	var out int64
	var jobs []func()
	for _, n := range share(ops, threads) {
		n := n
		jobs = append(jobs, func() {
			for ; n > 0; n-- {
				semaphore <- struct{}{}
				if threads > 1 {
					if atomic.AddInt64(&out, 1) > permits {
						fail("too many permits are out")
					}
					if held {
						runtime.Gosched()
					}
					atomic.AddInt64(&out, -1)
				}
				<-semaphore
			}
		})
	}
	race(ops, jobs...)
	if len(semaphore) != 0 {
		fail("a permit is lost")
	}
	report()
}

func rwlocks(workload string, ops uint64) {
	type mix struct {
		threads int
		reads   uint64
	}
	m, known := map[string]mix{
		"uncontended/read": {1, 100}, "uncontended/write": {1, 0},
		"2r": {2, 100}, "4r": {4, 100}, "90-10": {4, 90}, "50-50": {4, 50},
	}[workload]
	if !known {
		unknown(workload)
	}
	var lock sync.RWMutex
	var value [9]uint64
	written := make([]uint64, m.threads)
	look := func() uint64 {
		first, second := value[0], value[8]
		if first != second {
			fail("a torn read")
		}
		return first
	}
	var jobs []func()
	for me, n := range share(ops, m.threads) {
		me, n := me, n
		jobs = append(jobs, func() {
			random := uint64(0x9E3779B97F4A7C15) ^ uint64(me+1)
			var last, writes uint64
			for ; n > 0; n-- {
				read := m.reads == 100
				if m.reads%100 != 0 {
					random ^= random << 13
					random ^= random >> 7
					random ^= random << 17
					read = random%100 < m.reads
				}
				if read {
					lock.RLock()
					now := look()
					lock.RUnlock()
					if now < last {
						fail("a reader sees an older value than before")
					}
					last = now
				} else {
					lock.Lock()
					value[0]++
					value[8]++
					lock.Unlock()
					writes++
				}
			}
			written[me] = writes
		})
	}
	race(ops, jobs...)
	var total uint64
	for _, n := range written {
		total += n
	}
	if look() != total {
		fail("a write is lost")
	}
	report()
}

// A pool in Go is a channel of functions and goroutines that take them out. The channel holds as many as ours does; a worker that
// submits must not wait for room, which only workers can make, and starts a goroutine then.
func pools(workload string, ops uint64) {
	const workers = 2
	jobs := make(chan func(), 1024)
	for n := 0; n < workers; n++ {
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	const pages = 16
	type page struct {
		count, sum uint64
		_          [48]byte
	}
	var ledger [pages]page
	var done sync.WaitGroup
	signs := func(n uint64) {
		atomic.AddUint64(&ledger[n%pages].count, 1)
		atomic.AddUint64(&ledger[n%pages].sum, n)
		done.Done()
	}
	settle := func() {
		var count, sum uint64
		for at := range ledger {
			count += ledger[at].count
			sum += ledger[at].sum
		}
		if count != ops || sum != ops*(ops-1)/2 {
			fail("a job has not run, or has run twice")
		}
	}
	resultOf := func(n uint64) uint64 { return n*0x9E3779B97F4A7C15 ^ n }
	switch workload {
	case "empty", "busy1us":
		busy := workload == "busy1us"
		done.Add(int(ops))
		race(ops, func() {
			for n := uint64(0); n < ops; n++ {
				n := n
				jobs <- func() {
					if busy {
						for began := time.Now(); time.Since(began) < time.Microsecond; {
						}
					}
					signs(n)
				}
			}
			done.Wait()
		})
		settle()
	case "results":
		var got, want uint64
		race(ops, func() {
			results := make(chan uint64, 1024)
			go func() {
				for n := uint64(0); n < ops; n++ {
					n := n
					jobs <- func() { results <- resultOf(n) }
				}
			}()
			for n := uint64(0); n < ops; n++ {
				got += <-results
			}
		})
		for n := uint64(0); n < ops; n++ {
			want += resultOf(n)
		}
		if got != want {
			fail("a result is lost, or invented")
		}
	case "nested":
		var grow func(n uint64)
		grow = func(n uint64) {
			job := func() {
				for _, child := range [2]uint64{2*n + 1, 2*n + 2} {
					if child < ops {
						grow(child)
					}
				}
				signs(n)
			}
			select {
			case jobs <- job:
			default:
				go job()
			}
		}
		done.Add(int(ops))
		race(ops, func() {
			grow(0)
			done.Wait()
		})
		settle()
	case "start":
		waits := make([]float64, ops)
		race(ops, func() {
			for n := range waits {
				time.Sleep(200 * time.Microsecond)
				wait := make(chan time.Duration, 1)
				submitted := time.Now()
				jobs <- func() { wait <- time.Since(submitted) }
				waits[n] = float64((<-wait).Nanoseconds())
			}
		})
		sort.Float64s(waits)
		at := func(share float64) float64 { return waits[int(share*float64(len(waits)-1))] }
		result.Latency = []float64{at(0.5), at(0.99)}
	default:
		unknown(workload)
	}
	report()
}

func contexts(workload string, ops uint64) {
	switch workload {
	case "is-done/depth8":
		root, cancel := context.WithCancel(context.Background())
		last := root
		for depth := 1; depth < 8; depth++ {
			child, cancel := context.WithCancel(last)
			defer cancel()
			last = child
		}
		race(ops, func() {
			for n := uint64(0); n < ops; n++ {
				if last.Err() != nil {
					fail("nobody has cancelled it")
				}
			}
		})
		cancel()
		if last.Err() == nil || root.Err() == nil {
			fail("a cancellation does not reach the end")
		}
	case "child":
		parent, cancel := context.WithCancel(context.Background())
		defer cancel()
		race(ops, func() {
			for n := uint64(0); n < ops; n++ {
				// What dropping is elsewhere: without it the parent would keep the child.
				_, cancel := context.WithCancel(parent)
				cancel()
			}
		})
	case "cancel1000":
		var inside int64
		race(ops, func() {
			for n := uint64(0); n < ops; n++ {
				inside += cancelOnce()
			}
		})
		result.WallNs = inside
	default:
		unknown(workload)
	}
	report()
}

func cancelOnce() int64 {
	root, cancel := context.WithCancel(context.Background())
	var children [1000]context.Context
	var cancels [1000]context.CancelFunc
	for at := range children {
		children[at], cancels[at] = context.WithCancel(root)
	}
	start := time.Now()
	cancel()
	took := time.Since(start).Nanoseconds()
	for at, child := range children {
		if child.Err() == nil {
			fail("a cancellation does not reach a child")
		}
		cancels[at]()
	}
	return took
}

// planted loses an item, to show that the checks above notice.
func planted(ops uint64) {
	all := make(seen, 1)
	race(ops, func() {
		for n := uint64(1); n < ops; n++ {
			all.take(item(0, n))
		}
	})
	settle([]seen{all}, []uint64{ops})
	report()
}
