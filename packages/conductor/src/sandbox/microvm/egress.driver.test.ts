import { it } from 'node:test'
import { guestEgressContract } from '../guest/egress.contract.ts'
import { guestPlace, tryGuestDriver } from '../testing/guest-place.ts'
import { quietWorld } from '../testing/specimen.ts'
import { MicrovmDriver } from './microvm.ts'

const { usable, detail } = await tryGuestDriver(new MicrovmDriver(quietWorld(), guestPlace))

if (usable)
  guestEgressContract({
    title: 'microvm',
    make: egress => new MicrovmDriver(quietWorld(), guestPlace, { egress }),
    isolates: true,
  })
else it('microvm: a guest that may reach some hosts', { skip: detail }, () => {})
