"""What ``forwardpass bench`` measures: the answer pass, the second pass, many askers at once, the event loop, scaling."""
