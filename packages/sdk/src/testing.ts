//! `@horus/sdk/testing`: a whole cluster in a test's own process, in virtual time (docs/TESTING.md).

export { type PauseTarget, TestCluster, testCluster, type TestClusterOptions } from './testing/cluster.ts'
