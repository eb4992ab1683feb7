// What routers are told and what is understood of their answers. The bytes and texts are those of a miniupnpd 2.3.1.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  callBody,
  externalAddressRequest,
  locationIn,
  mappingValues,
  mapRequest,
  readNatPmpAnswer,
  servicesIn,
  valueIn,
} from './gateway-messages.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const ROUTER = '192.168.1.1'
const LOCATION = new URL(`http://${ROUTER}:5000/rootDesc.xml`)
const service = (type: string, control: string): string =>
  `<service><serviceType>${type}</serviceType><controlURL>${control}</controlURL></service>`
const WAN_IP = 'urn:schemas-upnp-org:service:WANIPConnection:1'

test('questions of NAT-PMP are those of RFC 6886', () => {
  assert.deepEqual(externalAddressRequest(), hex('00 00'))
  assert.deepEqual(mapRequest(4001, 5000, 7200), hex('00 02 0000 0fa1 1388 00001c20'))
})

test('answers of NAT-PMP are read: an address, a mapping, a refusal', () => {
  assert.deepEqual(readNatPmpAnswer(hex('00 80 0000 00000007 01020304')), { kind: 'address', host: '1.2.3.4' })
  assert.deepEqual(readNatPmpAnswer(hex('00 82 0000 00000007 0fa1 1388 00001c20')), {
    kind: 'mapped',
    internal: 4001,
    external: 5000,
    lifetimeS: 7200,
  })
  assert.deepEqual(readNatPmpAnswer(hex('00 82 0002 00000007 0fa1 0000 00000000')), { kind: 'refused', code: 2 })
})

test('what is no answer of NAT-PMP, or is cut short, is nothing', () => {
  const whole = [hex('00 80 0000 00000007 01020304'), hex('00 82 0000 00000007 0fa1 1388 00001c20')]
  for (const bytes of whole) {
    for (let length = 0; length < bytes.length; length++)
      assert.equal(readNatPmpAnswer(bytes.subarray(0, length)), null)
  }
  assert.equal(readNatPmpAnswer(mapRequest(1, 2, 3)), null, 'a question')
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => readNatPmpAnswer(bytes) !== undefined))
})

test('only a description at the address that answered is looked at', () => {
  const answer = (location: string): string => `HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLocation: ${location}\r\n\r\n`
  assert.equal(locationIn(answer(LOCATION.href), ROUTER)?.href, LOCATION.href)
  for (const other of ['http://192.168.1.9/a.xml', 'https://192.168.1.1/a.xml', 'file:///etc/passwd', 'nonsense']) {
    assert.equal(locationIn(answer(other), ROUTER), null, other)
  }
  assert.equal(locationIn('HTTP/1.1 404 Not Found\r\n\r\n', ROUTER), null)
})

test('the services that forward ports are found in a description, none elsewhere than on the router', () => {
  const layer3 = service('urn:schemas-upnp-org:service:Layer3Forwarding:1', '/ctl/L3F')
  const description = `<root><device>${layer3}${service(WAN_IP, '/ctl/IPConn')}</device></root>`
  assert.deepEqual(
    servicesIn(description, LOCATION).map(({ type, control }) => [type, control.href]),
    [[WAN_IP, `http://${ROUTER}:5000/ctl/IPConn`]],
  )
  assert.deepEqual(servicesIn(service(WAN_IP, 'http://10.0.0.1/ctl'), LOCATION), [])
  const elsewhere = `<URLBase>http://10.0.0.1/</URLBase>${service(WAN_IP, '/ctl')}`
  assert.deepEqual(servicesIn(elsewhere, LOCATION), [])
})

test('a call names its service, and values are read out of answers', () => {
  const body = callBody(WAN_IP, 'AddPortMapping', mappingValues('192.168.1.2', 4001, 5000, 7200))
  assert.match(body, /<u:AddPortMapping xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">/)
  assert.equal(valueIn(body, 'NewInternalClient'), '192.168.1.2')
  assert.equal(valueIn(body, 'NewLeaseDuration'), '7200')
  assert.equal(valueIn(body, 'NewNothing'), null)
})
