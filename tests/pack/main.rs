//! `fast` mode against `exact`: packs of trials take the same steps within rounding, whatever their members have of their own.

mod course;
mod steps;
mod watch;
