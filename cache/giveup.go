package cache

// giveUp gives up an archive after one of its streams turned out to belong to another
// archive. What that stream delivered before may be wrong too. From now on, reads
// through open handles fail. The next open starts anew.
func (a *archive) giveUp() {
	a.wrong.Store(true)
	c := a.c
	c.mu.Lock()
	here := c.archives[a.info.ID] == a
	if here {
		c.unlink(a)
	}
	c.mu.Unlock()
	if !here {
		return
	}
	a.log().Warn("archive changed on the server; its copy in the cache is dropped", "op", "stream")
	if err := c.discard(a); err != nil {
		a.log().Warn("data file not removed; it still takes room", "op", "stream", "err", err)
	}
}
