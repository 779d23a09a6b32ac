package secure

// StopTicking ends the hourly look at the files, and tells whether there was one.
func (s *Source) StopTicking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timer != nil && s.timer.Stop()
}

// Tick is what comes each hour.
func (s *Source) Tick() { s.tick() }
