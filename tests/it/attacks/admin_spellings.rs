//! One closed path against every spelling of it, judged by how servers would resolve what arrives.
