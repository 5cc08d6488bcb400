/**
 * Errors named as Nova 2011.3 names its exceptions (nova/exception.py). The class name is part of the contract:
 * it crosses AMQP as `failure[0]` and becomes the EC2 error code where the dialect's table has no other.
 */
export * from './errors/base.js';
export * from './errors/rpc.js';
export * from './errors/compute.js';
export * from './errors/images.js';
export * from './errors/volumes.js';
export * from './errors/networks.js';
export * from './errors/scheduling.js';
export * from './errors/accounts.js';
