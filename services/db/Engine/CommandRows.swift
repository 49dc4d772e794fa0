// The table of commands as text, one row a command, parsed once at start.
//
// Columns: name, arity (negative: at least), flags (- for none), first key, last key (negative: from the end), key step, group, version of
// Redis that brought it, summary. A row a command reads and diffs better than two hundred initialisers, and the compiler
// type-checks it in no time. Arity, flags and key positions are those of Redis 7.2.
//
// - Spec: Redis command reference, COMMAND INFO.

/// Must stay in the order of `CommandID`'s cases: `CommandTable` checks that at start.
let commandRows = """
    append 3 write,denyoom,fast 1 1 1 string 2.0.0 Appends bytes to a string, creating it when absent.
    auth -2 noscript,loading,stale,fast,no_auth,allow_busy 0 0 0 connection 1.0.0 Authenticates the connection.
    bgrewriteaof 1 admin,noscript,no_async_loading 0 0 0 server 1.0.0 Rewrites the append-only log in the background.
    bgsave -1 admin,noscript,no_async_loading 0 0 0 server 1.0.0 Writes a snapshot in the background.
    blmove 6 write,denyoom,blocking,noscript 1 2 1 list 6.2.0 Moves an element between lists; waits while the source is empty.
    blmpop -5 write,blocking,movablekeys 0 0 0 list 7.0.0 Pops elements from the first non-empty list; waits while all are empty.
    blpop -3 write,blocking,noscript 1 -2 1 list 2.0.0 Pops the head of the first non-empty list; waits while all are empty.
    brpop -3 write,blocking,noscript 1 -2 1 list 2.0.0 Pops the tail of the first non-empty list; waits while all are empty.
    brpoplpush 4 write,denyoom,blocking,noscript 1 2 1 list 2.2.0 Moves a tail element to the head of another list; waits while the source is empty.
    bzmpop -5 write,blocking,movablekeys 0 0 0 sorted-set 7.0.0 Pops members from the first non-empty sorted set; waits while all are empty.
    bzpopmax -3 write,blocking,noscript,fast 1 -2 1 sorted-set 5.0.0 Pops the highest member of the first non-empty sorted set; waits while all are empty.
    bzpopmin -3 write,blocking,noscript,fast 1 -2 1 sorted-set 5.0.0 Pops the lowest member of the first non-empty sorted set; waits while all are empty.
    client -2 - 0 0 0 connection 2.4.0 Inspects and steers client connections.
    command -1 loading,stale 0 0 0 server 2.8.13 Describes the commands of this server.
    config -2 - 0 0 0 server 2.0.0 Reads and changes settings.
    copy -3 write,denyoom 1 2 1 generic 6.2.0 Copies a value to another key.
    dbsize 1 readonly,fast 0 0 0 server 1.0.0 Returns the number of keys of the selected database.
    debug -2 admin,noscript,loading,stale 0 0 0 server 1.0.0 Tools for tests.
    decr 2 write,denyoom,fast 1 1 1 string 1.0.0 Subtracts one from an integer value.
    decrby 3 write,denyoom,fast 1 1 1 string 1.0.0 Subtracts a number from an integer value.
    del -2 write 1 -1 1 generic 1.0.0 Deletes keys.
    discard 1 noscript,loading,stale,fast,allow_busy 0 0 0 transactions 2.0.0 Drops the queued commands of a transaction.
    dssm -2 admin,noscript,loading,stale,no_multi 0 0 0 server 7.2.0 Commands between the parts of dSSM (internal).
    dump 2 readonly 1 1 1 generic 2.6.0 Returns a value in a form that RESTORE takes.
    echo 2 loading,stale,fast 0 0 0 connection 1.0.0 Returns its argument.
    exec 1 noscript,loading,stale,skip_slowlog 0 0 0 transactions 1.2.0 Executes the queued commands of a transaction.
    exists -2 readonly,fast 1 -1 1 generic 1.0.0 Counts which of the keys exist.
    expire -3 write,fast 1 1 1 generic 1.0.0 Sets a key's time to live in seconds.
    expireat -3 write,fast 1 1 1 generic 1.2.0 Sets a key's expiry as Unix time in seconds.
    expiretime 2 readonly,fast 1 1 1 generic 7.0.0 Returns a key's expiry as Unix time in seconds.
    failover -1 admin,noscript,stale 0 0 0 server 6.2.0 Hands the primary role over to a replica.
    flushall -1 write 0 0 0 server 1.0.0 Deletes the keys of all databases.
    flushdb -1 write 0 0 0 server 1.0.0 Deletes the keys of the selected database.
    get 2 readonly,fast 1 1 1 string 1.0.0 Returns a string value.
    getdel 2 write,fast 1 1 1 string 6.2.0 Returns a string value and deletes the key.
    getex -2 write,fast 1 1 1 string 6.2.0 Returns a string value and changes its expiry.
    getrange 4 readonly 1 1 1 string 2.4.0 Returns a part of a string value.
    getset 3 write,denyoom,fast 1 1 1 string 1.0.0 Sets a string value and returns the former one.
    hdel -3 write,fast 1 1 1 hash 2.0.0 Deletes fields of a hash.
    hello -1 noscript,loading,stale,fast,no_auth,allow_busy 0 0 0 connection 6.0.0 Negotiates the protocol version, authenticates, names the connection.
    hexists 3 readonly,fast 1 1 1 hash 2.0.0 Tells whether a field exists in a hash.
    hget 3 readonly,fast 1 1 1 hash 2.0.0 Returns the value of a field.
    hgetall 2 readonly 1 1 1 hash 2.0.0 Returns all fields and values of a hash.
    hincrby 4 write,denyoom,fast 1 1 1 hash 2.0.0 Adds a number to the integer value of a field.
    hincrbyfloat 4 write,denyoom,fast 1 1 1 hash 2.6.0 Adds a number to the floating-point value of a field.
    hkeys 2 readonly 1 1 1 hash 2.0.0 Returns all fields of a hash.
    hlen 2 readonly,fast 1 1 1 hash 2.0.0 Returns the number of fields of a hash.
    hmget -3 readonly,fast 1 1 1 hash 2.0.0 Returns the values of several fields.
    hmset -4 write,denyoom,fast 1 1 1 hash 2.0.0 Sets several fields.
    hrandfield -2 readonly 1 1 1 hash 6.2.0 Returns random fields of a hash.
    hscan -3 readonly 1 1 1 hash 2.8.0 Iterates over the fields of a hash.
    hset -4 write,denyoom,fast 1 1 1 hash 2.0.0 Sets fields of a hash.
    hsetnx 4 write,denyoom,fast 1 1 1 hash 2.0.0 Sets a field when it does not exist.
    hstrlen 3 readonly,fast 1 1 1 hash 3.2.0 Returns the length of a field's value.
    hvals 2 readonly 1 1 1 hash 2.0.0 Returns all values of a hash.
    incr 2 write,denyoom,fast 1 1 1 string 1.0.0 Adds one to an integer value.
    incrby 3 write,denyoom,fast 1 1 1 string 1.0.0 Adds a number to an integer value.
    incrbyfloat 3 write,denyoom,fast 1 1 1 string 2.6.0 Adds a number to a floating-point value.
    info -1 loading,stale 0 0 0 server 1.0.0 Returns facts and statistics of the server.
    keys 2 readonly 0 0 0 generic 1.0.0 Returns all keys that match a pattern.
    lastsave 1 loading,stale,fast 0 0 0 server 1.0.0 Returns the time of the last successful snapshot.
    latency -2 - 0 0 0 server 2.8.13 Latency events and histograms.
    lcs -3 readonly 1 2 1 string 7.0.0 Finds the longest common subsequence of two strings.
    lindex 3 readonly 1 1 1 list 1.0.0 Returns the element at an index.
    linsert 5 write,denyoom 1 1 1 list 2.2.0 Inserts an element before or after another.
    llen 2 readonly,fast 1 1 1 list 1.0.0 Returns the length of a list.
    lmove 5 write,denyoom 1 2 1 list 6.2.0 Moves an element from one list to another.
    lmpop -4 write,movablekeys 0 0 0 list 7.0.0 Pops elements from the first non-empty list.
    lolwut -1 readonly,fast 0 0 0 server 5.0.0 Shows the version with a picture.
    lpop -2 write,fast 1 1 1 list 1.0.0 Removes and returns elements from the head.
    lpos -3 readonly 1 1 1 list 6.0.6 Returns the indexes of matching elements.
    lpush -3 write,denyoom,fast 1 1 1 list 1.0.0 Prepends elements.
    lpushx -3 write,denyoom,fast 1 1 1 list 2.2.0 Prepends elements when the list exists.
    lrange 4 readonly 1 1 1 list 1.0.0 Returns a range of elements.
    lrem 4 write 1 1 1 list 1.0.0 Removes matching elements.
    lset 4 write,denyoom 1 1 1 list 1.0.0 Sets the element at an index.
    ltrim 4 write 1 1 1 list 1.0.0 Keeps a range of elements and removes the rest.
    memory -2 - 0 0 0 server 4.0.0 Reports memory use.
    mget -2 readonly,fast 1 -1 1 string 1.0.0 Returns several string values.
    monitor 1 admin,noscript,loading,stale 0 0 0 server 1.0.0 Streams every command that the server processes.
    move 3 write,fast 1 1 1 generic 1.0.0 Moves a key to another database.
    mset -3 write,denyoom 1 -1 2 string 1.0.1 Sets several string values.
    msetnx -3 write,denyoom 1 -1 2 string 1.0.1 Sets several string values when none of the keys exists.
    multi 1 noscript,loading,stale,fast,allow_busy 0 0 0 transactions 1.2.0 Begins a transaction.
    object -2 - 0 0 0 generic 2.2.3 Inspects how a value is stored.
    persist 2 write,fast 1 1 1 generic 2.2.0 Removes a key's expiry.
    pexpire -3 write,fast 1 1 1 generic 2.6.0 Sets a key's time to live in milliseconds.
    pexpireat -3 write,fast 1 1 1 generic 2.6.0 Sets a key's expiry as Unix time in milliseconds.
    pexpiretime 2 readonly,fast 1 1 1 generic 7.0.0 Returns a key's expiry as Unix time in milliseconds.
    ping -1 fast 0 0 0 connection 1.0.0 Answers PONG or its argument.
    psetex 4 write,denyoom 1 1 1 string 2.6.0 Sets a string value with a time to live in milliseconds.
    psubscribe -2 pubsub,noscript,loading,stale 0 0 0 pubsub 2.0.0 Listens to channels that match patterns.
    psync -3 admin,noscript,no_async_loading,no_multi 0 0 0 server 2.8.0 Begins replication (internal).
    pttl 2 readonly,fast 1 1 1 generic 2.6.0 Returns a key's time to live in milliseconds.
    publish 3 pubsub,loading,stale,fast 0 0 0 pubsub 2.0.0 Posts a message to a channel.
    pubsub -2 - 0 0 0 pubsub 2.8.0 Inspects subscriptions.
    punsubscribe -1 pubsub,noscript,loading,stale 0 0 0 pubsub 2.0.0 Stops listening to patterns.
    quit -1 noscript,loading,stale,fast,no_auth,allow_busy 0 0 0 connection 1.0.0 Closes the connection.
    randomkey 1 readonly 0 0 0 generic 1.0.0 Returns a random key.
    readonly 1 loading,stale,fast 0 0 0 cluster 3.0.0 Accepted for compatibility.
    readwrite 1 loading,stale,fast 0 0 0 cluster 3.0.0 Accepted for compatibility.
    rename 3 write 1 2 1 generic 1.0.0 Renames a key.
    renamenx 3 write,fast 1 2 1 generic 1.0.0 Renames a key when the new name does not exist.
    replconf -1 admin,noscript,loading,stale,allow_busy 0 0 0 server 3.0.0 Negotiates replication (internal).
    replicaof 3 admin,noscript,stale,no_async_loading 0 0 0 server 5.0.0 Makes this server a replica or a primary.
    reset 1 noscript,loading,stale,fast,no_auth,allow_busy 0 0 0 connection 6.2.0 Resets the connection.
    restore -4 write,denyoom 1 1 1 generic 2.6.0 Makes a key from the result of DUMP.
    restore-asking -4 write,denyoom,asking 1 1 1 server 3.0.0 RESTORE as a cluster migration sends it.
    role 1 noscript,loading,stale,fast 0 0 0 server 2.8.12 Returns the replication role.
    rpop -2 write,fast 1 1 1 list 1.0.0 Removes and returns elements from the tail.
    rpoplpush 3 write,denyoom 1 2 1 list 1.2.0 Moves a tail element to the head of another list.
    rpush -3 write,denyoom,fast 1 1 1 list 1.0.0 Appends elements.
    rpushx -3 write,denyoom,fast 1 1 1 list 2.2.0 Appends elements when the list exists.
    sadd -3 write,denyoom,fast 1 1 1 set 1.0.0 Adds members to a set.
    save 1 admin,noscript,no_async_loading,no_multi 0 0 0 server 1.0.0 Writes a snapshot and waits for it.
    scan -2 readonly 0 0 0 generic 2.8.0 Iterates over the keys of the selected database.
    scard 2 readonly,fast 1 1 1 set 1.0.0 Returns the number of members.
    sdiff -2 readonly 1 -1 1 set 1.0.0 Returns the difference of sets.
    sdiffstore -3 write,denyoom 1 -1 1 set 1.0.0 Stores the difference of sets.
    select 2 loading,stale,fast 0 0 0 connection 1.0.0 Selects a database.
    set -3 write,denyoom 1 1 1 string 1.0.0 Sets a string value.
    setex 4 write,denyoom 1 1 1 string 2.0.0 Sets a string value with a time to live in seconds.
    setnx 3 write,denyoom,fast 1 1 1 string 1.0.0 Sets a string value when the key does not exist.
    setrange 4 write,denyoom 1 1 1 string 2.2.0 Overwrites a part of a string value.
    shutdown -1 admin,noscript,loading,stale,no_multi,allow_busy 0 0 0 server 1.0.0 Saves as configured and stops the server.
    sinter -2 readonly 1 -1 1 set 1.0.0 Returns the intersection of sets.
    sintercard -3 readonly,movablekeys 0 0 0 set 7.0.0 Returns the size of the intersection of sets.
    sinterstore -3 write,denyoom 1 -1 1 set 1.0.0 Stores the intersection of sets.
    sismember 3 readonly,fast 1 1 1 set 1.0.0 Tells whether a member is in a set.
    slaveof 3 admin,noscript,stale,no_async_loading 0 0 0 server 1.0.0 The former name of REPLICAOF.
    slowlog -2 - 0 0 0 server 2.2.12 Reads the log of slow commands.
    smembers 2 readonly 1 1 1 set 1.0.0 Returns all members.
    smismember -3 readonly,fast 1 1 1 set 6.2.0 Tells for several members whether they are in a set.
    smove 4 write,fast 1 2 1 set 1.0.0 Moves a member from one set to another.
    sort -2 write,denyoom,movablekeys 1 1 1 generic 1.0.0 Sorts the elements of a list, set or sorted set.
    sort_ro -2 readonly,movablekeys 1 1 1 generic 7.0.0 Sorts without storing.
    spop -2 write,fast 1 1 1 set 1.0.0 Removes and returns random members.
    spublish 3 pubsub,loading,stale,fast 1 1 1 pubsub 7.0.0 Posts a message to a shard channel.
    srandmember -2 readonly 1 1 1 set 1.0.0 Returns random members.
    srem -3 write,fast 1 1 1 set 1.0.0 Removes members.
    sscan -3 readonly 1 1 1 set 2.8.0 Iterates over the members of a set.
    ssubscribe -2 pubsub,noscript,loading,stale 1 -1 1 pubsub 7.0.0 Listens to shard channels.
    strlen 2 readonly,fast 1 1 1 string 2.2.0 Returns the length of a string value.
    subscribe -2 pubsub,noscript,loading,stale 0 0 0 pubsub 2.0.0 Listens to channels.
    substr 4 readonly 1 1 1 string 1.0.0 The former name of GETRANGE.
    sunion -2 readonly 1 -1 1 set 1.0.0 Returns the union of sets.
    sunionstore -3 write,denyoom 1 -1 1 set 1.0.0 Stores the union of sets.
    sunsubscribe -1 pubsub,noscript,loading,stale 1 -1 1 pubsub 7.0.0 Stops listening to shard channels.
    swapdb 3 write,fast 0 0 0 server 4.0.0 Exchanges two databases.
    sync 1 admin,noscript,no_async_loading,no_multi 0 0 0 server 1.0.0 Begins replication (internal).
    time 1 loading,stale,fast 0 0 0 server 2.6.0 Returns the server's time.
    touch -2 readonly,fast 1 -1 1 generic 3.2.1 Refreshes the access time of keys.
    ttl 2 readonly,fast 1 1 1 generic 1.0.0 Returns a key's time to live in seconds.
    type 2 readonly,fast 1 1 1 generic 1.0.0 Returns the type of a value.
    unlink -2 write,fast 1 -1 1 generic 4.0.0 Deletes keys and frees their values aside.
    unsubscribe -1 pubsub,noscript,loading,stale 0 0 0 pubsub 2.0.0 Stops listening to channels.
    unwatch 1 noscript,loading,stale,fast,allow_busy 0 0 0 transactions 2.2.0 Forgets the watched keys.
    wait 3 blocking 0 0 0 generic 3.0.0 Waits for replicas to acknowledge.
    waitaof 4 blocking 0 0 0 generic 7.2.0 Waits for the log on disk here and on replicas.
    watch -2 noscript,loading,stale,fast,allow_busy 1 -1 1 transactions 2.2.0 Watches keys: EXEC fails when one changes.
    zadd -4 write,denyoom,fast 1 1 1 sorted-set 1.2.0 Adds members or changes their scores.
    zcard 2 readonly,fast 1 1 1 sorted-set 1.2.0 Returns the number of members.
    zcount 4 readonly,fast 1 1 1 sorted-set 2.0.0 Counts the members in a range of scores.
    zdiff -3 readonly,movablekeys 0 0 0 sorted-set 6.2.0 Returns the difference of sorted sets.
    zdiffstore -4 write,denyoom,movablekeys 1 1 1 sorted-set 6.2.0 Stores the difference of sorted sets.
    zincrby 4 write,denyoom,fast 1 1 1 sorted-set 1.2.0 Adds a number to a member's score.
    zinter -3 readonly,movablekeys 0 0 0 sorted-set 6.2.0 Returns the intersection of sorted sets.
    zintercard -3 readonly,movablekeys 0 0 0 sorted-set 7.0.0 Returns the size of the intersection of sorted sets.
    zinterstore -4 write,denyoom,movablekeys 1 1 1 sorted-set 2.0.0 Stores the intersection of sorted sets.
    zlexcount 4 readonly,fast 1 1 1 sorted-set 2.8.9 Counts the members in a lexicographic range.
    zmpop -4 write,movablekeys 0 0 0 sorted-set 7.0.0 Pops members from the first non-empty sorted set.
    zmscore -3 readonly,fast 1 1 1 sorted-set 6.2.0 Returns the scores of several members.
    zpopmax -2 write,fast 1 1 1 sorted-set 5.0.0 Removes and returns the highest members.
    zpopmin -2 write,fast 1 1 1 sorted-set 5.0.0 Removes and returns the lowest members.
    zrandmember -2 readonly 1 1 1 sorted-set 6.2.0 Returns random members.
    zrange -4 readonly 1 1 1 sorted-set 1.2.0 Returns members in a range.
    zrangebylex -4 readonly 1 1 1 sorted-set 2.8.9 Returns members in a lexicographic range.
    zrangebyscore -4 readonly 1 1 1 sorted-set 1.0.5 Returns members in a range of scores.
    zrangestore -5 write,denyoom 1 2 1 sorted-set 6.2.0 Stores the members in a range.
    zrank -3 readonly,fast 1 1 1 sorted-set 2.0.0 Returns a member's rank from the lowest score.
    zrem -3 write,fast 1 1 1 sorted-set 1.2.0 Removes members.
    zremrangebylex 4 write 1 1 1 sorted-set 2.8.9 Removes members in a lexicographic range.
    zremrangebyrank 4 write 1 1 1 sorted-set 2.0.0 Removes members in a range of ranks.
    zremrangebyscore 4 write 1 1 1 sorted-set 1.2.0 Removes members in a range of scores.
    zrevrange -4 readonly 1 1 1 sorted-set 1.2.0 Returns members in a range, highest first.
    zrevrangebylex -4 readonly 1 1 1 sorted-set 2.8.9 Returns members in a lexicographic range, backwards.
    zrevrangebyscore -4 readonly 1 1 1 sorted-set 2.2.0 Returns members in a range of scores, highest first.
    zrevrank -3 readonly,fast 1 1 1 sorted-set 2.0.0 Returns a member's rank from the highest score.
    zscan -3 readonly 1 1 1 sorted-set 2.8.0 Iterates over the members of a sorted set.
    zscore 3 readonly,fast 1 1 1 sorted-set 1.2.0 Returns a member's score.
    zunion -3 readonly,movablekeys 0 0 0 sorted-set 6.2.0 Returns the union of sorted sets.
    zunionstore -4 write,denyoom,movablekeys 1 1 1 sorted-set 2.0.0 Stores the union of sorted sets.
    """
