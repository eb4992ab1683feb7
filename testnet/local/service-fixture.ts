// Descriptors of processes, for live tests and benches that deploy them.

/** What a service takes besides its name: `cmd`, `port`, `constraints`, … A field overrules what is said here. */
type Fields = Readonly<Record<string, unknown>>

/** A process to be deployed, or with `virtualization` something else; a service's name is its first four labels. */
export const serviceDescriptor = (service: string, fields: Fields): string => servicesDescriptor({ [service]: fields })

/** Several of them, by name. */
export function servicesDescriptor(services: Readonly<Record<string, Fields>>): string {
  const applications = Object.entries(services).map(([service, fields]) => {
    const [application_name, application_namespace, microservice_name, microservice_namespace] = service.split('.')
    const microservice = { microservice_name, microservice_namespace, virtualization: 'process', ...fields }
    return { application_name, application_namespace, microservices: [microservice] }
  })
  return JSON.stringify({ sla_version: 'v2.0', applications })
}
