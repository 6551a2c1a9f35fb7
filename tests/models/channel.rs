//! Operation lists applied to a channel and to a plain model side by side.
