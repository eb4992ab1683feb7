// For tests only: a member in a process of its own, to be killed. It believes everybody and says where it listens.

import { allowListGate, createVillage, idOf, newKey } from './fixtures.ts'

const key = await newKey()
const everybody = new Set([idOf(key)])
everybody.has = () => true
const { network } = await createVillage().add({ privateKey: key, gate: allowListGate(idOf(key), everybody, new Set()) })
process.send?.({ peer: network.self, addresses: network.addresses() })
