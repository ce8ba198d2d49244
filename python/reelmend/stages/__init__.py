"""The restorations. Each is a stage (see reelmend.stage): frozen options, opened to a passive runtime."""
