package site

import (
	"container/list"
	"sync"
	"time"
)

// crowd bounds how many hold something at once, connections or answers. Where
// it is full, who was served least lately gives way to who comes: a newcomer is
// always let in, whatever the others do with what they hold.
type crowd struct {
	most     int
	patience time.Duration // in which a member must have been served to be spared
	mu       sync.Mutex
	members  list.List // of *member, the least lately served first
}

// member is one that holds something; drop takes it away.
type member struct {
	drop   func()
	served time.Time
	at     *list.Element // nil once it has left
}

// join lets one in, or returns nil where all were served within the patience.
func (c *crowd) join(drop func()) *member {
	m := &member{drop: drop, served: time.Now()}
	out, full := c.enter(m)
	if out != nil {
		out.drop() // not under the lock: it ends by leaving
	}
	if full {
		return nil
	}
	return m
}

// enter adds a member and returns the one that gives way to it.
func (c *crowd) enter(m *member) (out *member, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members.Len() >= c.most {
		out = c.members.Front().Value.(*member)
		if time.Since(out.served) < c.patience {
			return nil, true
		}
		c.members.Remove(out.at)
		out.at = nil
	}
	m.at = c.members.PushBack(m)
	return out, false
}

// serve notes that a member took something. A nil one is of no crowd.
func (c *crowd) serve(m *member) {
	if m == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.served = time.Now()
	if m.at != nil {
		c.members.MoveToBack(m.at)
	}
}

// expire drops those that were not served for so long.
func (c *crowd) expire(age time.Duration) {
	for {
		c.mu.Lock()
		first := c.members.Front()
		if first == nil || time.Since(first.Value.(*member).served) < age {
			c.mu.Unlock()
			return
		}
		m := c.members.Remove(first).(*member)
		m.at = nil
		c.mu.Unlock()
		m.drop()
	}
}

// leave is of one that is done.
func (c *crowd) leave(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m != nil && m.at != nil {
		c.members.Remove(m.at)
		m.at = nil
	}
}

// size is how many are in.
func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members.Len()
}
