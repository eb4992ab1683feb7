// The descriptor of a federation's only service, for live tests and benches that deploy one.

/**
 * A process to be deployed, or with `virtualization` something else: the first four labels of its name, and what it
 * takes besides (`cmd`, `port`, `constraints`, …). A field overrules what is said here.
 */
export function processDescriptor(service: string, fields: Readonly<Record<string, unknown>>): string {
  const [application_name, application_namespace, microservice_name, microservice_namespace] = service.split('.')
  const microservice = { microservice_name, microservice_namespace, virtualization: 'process', ...fields }
  const application = { application_name, application_namespace, microservices: [microservice] }
  return JSON.stringify({ sla_version: 'v2.0', applications: [application] })
}
