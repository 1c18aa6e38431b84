//! Commands around a sweep: the first experiment, the shell's completions, what may be removed, a page that opens.

mod completions;
mod follow;
mod init;
mod keys;
mod open;
mod plan;
mod prune;
