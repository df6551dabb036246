package cache

// giveUp gives an archive up: one of its streams has turned out to be of another,
// and so may be what it delivered before. Who has it open is told so from now on;
// whoever opens it again begins anew.
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
	a.log().Warn("the server sent another archive; what was kept of it is dropped", "op", "stream")
	if err := c.discard(a); err != nil {
		a.log().Warn("data file not removed", "op", "stream", "err", err)
	}
}
