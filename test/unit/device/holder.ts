//! A process that holds a data directory until it is killed.

import { DataDirectory } from '@horus/node/device/directory'

const directory = await DataDirectory.open(process.argv[2]!)
process.send!(directory.path)
setInterval(() => undefined, 60_000)
