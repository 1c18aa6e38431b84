//! From a YAML file to the unique trials it asks for. Needs no libtorch.

pub mod config;
