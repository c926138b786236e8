import { sandboxContract } from '../sandbox.contract.ts'
import { quietWorld } from '../testing/specimen.ts'
import { ProcessDriver } from './process.ts'

sandboxContract({
  title: 'The process driver',
  make: () => new ProcessDriver(quietWorld()),
  isolates: false,
  counts: false,
  seesProcesses: true,
})
