//! A worker whose handler ends the whole process in its first instant, as a job does that exhausts memory or crashes a native module.

import { endWithParent } from '@horus/node/local/children'
import { Horus } from '@horus/sdk'

const settings = JSON.parse(process.argv[2]!) as { readonly cluster: string; readonly seeds: readonly string[]; readonly topic: string; readonly lease: string }
endWithParent()
const horus = await Horus.connect({ cluster: settings.cluster, seeds: settings.seeds })
horus.work(settings.topic, () => process.kill(process.pid, 'SIGKILL'), { concurrency: 1, lease: settings.lease })
