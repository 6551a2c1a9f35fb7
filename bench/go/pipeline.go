package main

import (
	"strings"
	"sync"
)

const (
	buffer   = 64
	workers  = 2
	branches = 4
)

type numbered struct{ number, value uint64 }

// A pipeline in Go is goroutines and channels: whoever is the last of a step closes the channel behind it.
func pipelines(workload string, ops uint64) {
	switch workload {
	case "broadcast4":
		broadcast(ops, false)
		return
	case "broadcast4/lossy":
		broadcast(ops, true)
		return
	case "merge4":
		merge(ops)
		return
	}
	parts := strings.Split(workload, "/")
	if len(parts) != 3 || (parts[0] != "cheap" && parts[0] != "heavy") ||
		(parts[1] != "3x2" && parts[1] != "fused") || (parts[2] != "ordered" && parts[2] != "unordered") {
		unknown(workload)
	}
	rounds, stages, times := 1, 3, 1
	if parts[0] == "heavy" {
		rounds = 2000
	}
	if parts[1] == "fused" {
		stages, times = 1, 3
	}
	ordered := parts[2] == "ordered"
	work := func(value uint64) uint64 {
		for n := 0; n < rounds*times; n++ {
			value = value*6364136223846793005 + 1
		}
		return value
	}
	var sum, want uint64
	add := func(sum *uint64, value uint64) {
		if ordered {
			*sum = *sum<<5 | *sum>>59
		}
		*sum += value
	}
	race(ops, func() {
		first := make(chan numbered, buffer)
		go func() {
			for n := uint64(0); n < ops; n++ {
				first <- numbered{n, n}
			}
			close(first)
		}()
		from := first
		for n := 0; n < stages; n++ {
			from = stage(from, work)
		}
		early := map[uint64]uint64{}
		next := uint64(0)
		for item := range from {
			if !ordered {
				add(&sum, item.value)
				continue
			}
			early[item.number] = item.value
			for {
				value, there := early[next]
				if !there {
					break
				}
				delete(early, next)
				next++
				add(&sum, value)
			}
		}
	})
	rounds, times = rounds*stages*times, 1
	for n := uint64(0); n < ops; n++ {
		add(&want, work(n))
	}
	if sum != want {
		fail("an item is lost, doubled or displaced")
	}
	report()
}

func stage(from chan numbered, work func(uint64) uint64) chan numbered {
	to := make(chan numbered, buffer)
	var left sync.WaitGroup
	left.Add(workers)
	for n := 0; n < workers; n++ {
		go func() {
			defer left.Done()
			for item := range from {
				to <- numbered{item.number, work(item.value)}
			}
		}()
	}
	go func() {
		left.Wait()
		close(to)
	}()
	return to
}

// Under lossy whoever has no room misses the item.
func broadcast(ops uint64, lossy bool) {
	var got, missed [branches]uint64
	var displaced [branches]bool
	race(ops, func() {
		var all [branches]chan uint64
		var done sync.WaitGroup
		for at := range all {
			all[at] = make(chan uint64, buffer)
			done.Add(1)
			go func(at int) {
				defer done.Done()
				count, least := uint64(0), uint64(0)
				for n := range all[at] {
					if n < least {
						displaced[at] = true
					}
					least = n + 1
					count++
				}
				got[at] = count
			}(at)
		}
		for n := uint64(0); n < ops; n++ {
			for at := range all {
				if !lossy {
					all[at] <- n
					continue
				}
				select {
				case all[at] <- n:
				default:
					missed[at]++
				}
			}
		}
		for at := range all {
			close(all[at])
		}
		done.Wait()
	})
	var arrived uint64
	for at := range got {
		if got[at]+missed[at] != ops || displaced[at] {
			fail("a branch has lost, doubled or displaced an item")
		}
		if got[at] == 0 {
			fail("a branch has got nothing")
		}
		arrived += got[at]
	}
	if lossy {
		share := float64(arrived) / float64(branches*ops)
		result.Delivered = &share
	}
	report()
}

// A goroutine for each input forwards what comes into one channel.
func merge(ops uint64) {
	shares := share(ops, branches)
	var got [branches]uint64
	race(ops, func() {
		merged := make(chan numbered, buffer)
		var left sync.WaitGroup
		left.Add(branches)
		for at := range shares {
			input := make(chan numbered, buffer)
			go func(at int) {
				for n := uint64(0); n < shares[at]; n++ {
					input <- numbered{uint64(at), n}
				}
				close(input)
			}(at)
			go func() {
				defer left.Done()
				for item := range input {
					merged <- item
				}
			}()
		}
		go func() {
			left.Wait()
			close(merged)
		}()
		for item := range merged {
			if item.value != got[item.number] {
				fail("an item is lost, doubled or displaced")
			}
			got[item.number]++
		}
	})
	for at := range got {
		if got[at] != shares[at] {
			fail("an item is lost, doubled or displaced")
		}
	}
	report()
}
