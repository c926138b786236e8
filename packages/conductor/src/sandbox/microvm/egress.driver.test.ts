import { it } from 'node:test'
import { guestEgressContract } from '../guest/egress.contract.ts'
import { quietWorld } from '../testing/specimen.ts'
import { MicrovmDriver } from './microvm.ts'
import { findTestPlace } from './testing/place.ts'

const { place, usable, detail } = await findTestPlace()

if (usable)
  guestEgressContract({ title: 'microvm', make: egress => new MicrovmDriver(quietWorld(), place, { egress }), isolates: true })
else it('microvm: a guest that may reach some hosts', { skip: detail }, () => {})
