// The subcommands of container commands, in the columns of `commandRows`. They are found by name, so their order is free.
//
// - Spec: Redis command reference 7.2, COMMAND INFO.

let subcommandRows = """
    client|getname 2 noscript,loading,stale 0 0 0 connection 2.6.9 Returns the name of the connection.
    client|getredir 2 noscript,loading,stale 0 0 0 connection 6.0.0 Returns where invalidation messages of this connection go.
    client|help 2 loading,stale 0 0 0 connection 5.0.0 Lists the subcommands.
    client|id 2 noscript,loading,stale 0 0 0 connection 5.0.0 Returns the identifier of the connection.
    client|info 2 noscript,loading,stale 0 0 0 connection 6.2.0 Describes the connection.
    client|kill -3 admin,noscript,loading,stale 0 0 0 connection 2.4.0 Closes connections.
    client|list -2 admin,noscript,loading,stale 0 0 0 connection 2.4.0 Lists the connections.
    client|no-evict 3 admin,noscript,loading,stale 0 0 0 connection 7.0.0 Keeps the connection from being evicted.
    client|no-touch 3 noscript,loading,stale 0 0 0 connection 7.2.0 Leaves access times alone when this connection reads.
    client|pause -3 admin,noscript,loading,stale 0 0 0 connection 2.9.50 Holds commands back for a time.
    client|reply 3 noscript,loading,stale 0 0 0 connection 3.2.0 Switches replies off and on.
    client|setinfo 4 noscript,loading,stale 0 0 0 connection 7.2.0 Notes the client library's name or version.
    client|setname 3 noscript,loading,stale 0 0 0 connection 2.6.9 Names the connection.
    client|unblock -3 admin,noscript,loading,stale 0 0 0 connection 5.0.0 Ends the wait of a blocked connection.
    client|unpause 2 admin,noscript,loading,stale 0 0 0 connection 6.2.0 Ends CLIENT PAUSE.
    command|count 2 loading,stale 0 0 0 server 2.8.13 Counts the commands.
    command|docs -2 loading,stale 0 0 0 server 7.0.0 Returns documentation of commands.
    command|getkeys -4 loading,stale 0 0 0 server 2.8.13 Returns the keys of a command line.
    command|getkeysandflags -4 loading,stale 0 0 0 server 7.0.0 Returns the keys of a command line and what is done with them.
    command|help 2 loading,stale 0 0 0 server 5.0.0 Lists the subcommands.
    command|info -2 loading,stale 0 0 0 server 2.8.13 Describes commands.
    command|list -2 loading,stale 0 0 0 server 7.0.0 Lists the names of commands.
    config|get -3 admin,noscript,loading,stale 0 0 0 server 2.0.0 Returns settings.
    config|help 2 loading,stale 0 0 0 server 5.0.0 Lists the subcommands.
    config|resetstat 2 admin,noscript,loading,stale 0 0 0 server 2.0.0 Begins counting statistics anew.
    config|rewrite 2 admin,noscript,loading,stale 0 0 0 server 2.8.0 Writes the settings in force to the settings file.
    config|set -4 admin,noscript,loading,stale 0 0 0 server 2.0.0 Changes settings.
    latency|doctor 2 admin,noscript,loading,stale 0 0 0 server 2.8.13 Explains the recorded latency events.
    latency|graph 3 admin,noscript,loading,stale 0 0 0 server 2.8.13 Draws the samples of a latency event.
    latency|help 2 loading,stale 0 0 0 server 2.8.13 Lists the subcommands.
    latency|histogram -2 admin,noscript,loading,stale 0 0 0 server 7.0.0 Returns how long commands took.
    latency|history 3 admin,noscript,loading,stale 0 0 0 server 2.8.13 Returns the samples of a latency event.
    latency|latest 2 admin,noscript,loading,stale 0 0 0 server 2.8.13 Returns the latest sample of each latency event.
    latency|reset -2 admin,noscript,loading,stale 0 0 0 server 2.8.13 Forgets latency events.
    memory|doctor 2 - 0 0 0 server 4.0.0 Explains the use of memory.
    memory|help 2 loading,stale 0 0 0 server 4.0.0 Lists the subcommands.
    memory|malloc-stats 2 - 0 0 0 server 4.0.0 Returns figures of the allocators.
    memory|purge 2 - 0 0 0 server 4.0.0 Gives unused memory back to the system.
    memory|stats 2 - 0 0 0 server 4.0.0 Returns figures of memory use.
    memory|usage -3 readonly 2 2 1 server 4.0.0 Returns the bytes of a key.
    object|encoding 3 readonly 2 2 1 generic 2.2.3 Returns how a value is represented.
    object|freq 3 readonly 2 2 1 generic 4.0.0 Returns how often a key was used.
    object|help 2 loading,stale 0 0 0 generic 6.2.0 Lists the subcommands.
    object|idletime 3 readonly 2 2 1 generic 2.2.3 Returns the time since a key was used.
    object|refcount 3 readonly 2 2 1 generic 2.2.3 Returns the number of references to a value.
    pubsub|channels -2 pubsub,loading,stale 0 0 0 pubsub 2.8.0 Lists the channels that have subscribers.
    pubsub|help 2 loading,stale 0 0 0 pubsub 6.2.0 Lists the subcommands.
    pubsub|numpat 2 pubsub,loading,stale 0 0 0 pubsub 2.8.0 Counts the patterns that have subscribers.
    pubsub|numsub -2 pubsub,loading,stale 0 0 0 pubsub 2.8.0 Counts the subscribers of channels.
    pubsub|shardchannels -2 pubsub,loading,stale 0 0 0 pubsub 7.0.0 Lists the shard channels that have subscribers.
    pubsub|shardnumsub -2 pubsub,loading,stale 0 0 0 pubsub 7.0.0 Counts the subscribers of shard channels.
    slowlog|get -2 admin,loading,stale 0 0 0 server 2.2.12 Returns entries of the slow log.
    slowlog|help 2 loading,stale 0 0 0 server 6.2.0 Lists the subcommands.
    slowlog|len 2 admin,loading,stale 0 0 0 server 2.2.12 Counts the entries of the slow log.
    slowlog|reset 2 admin,loading,stale 0 0 0 server 2.2.12 Empties the slow log.
    """
