#![doc = include_str!("ARCHITECTURE.md")]

pub mod admin;
pub mod app;
pub mod auth;
pub mod backend;
pub mod catalog;
pub mod config;
pub mod handshake;
pub mod net;
pub mod pool;
pub mod protocol;
pub mod resilience;
pub mod server;
pub mod session;
pub mod sql;
pub mod telemetry;
pub mod topology;
