with contacts as (

    select * from {{ ref('int_contacts_judged') }}
    where disposition = 'rejected'

),

customers as (

    select * from {{ ref('customers') }}
    where email is null and phone is null

),

rejected as (

    select
        namespace,
        customer_id,
        channel,
        position,
        rejection_reason as reason,
        contact_as_given,
        file_name,
        line_number
    from contacts

    union all

    select
        namespace,
        customer_id,
        'any' as channel,
        0 as position,
        'no_contact' as reason,
        cast(null as {{ dbt.type_string() }}) as contact_as_given,
        cast(null as {{ dbt.type_string() }}) as file_name,
        cast(null as bigint) as line_number
    from customers

)

select
    namespace,
    customer_id,
    channel,
    cast(position as bigint) as position,
    reason,
    contact_as_given,
    {{ surrogate_key(['namespace', 'customer_id', 'channel', 'position', 'file_name', 'line_number']) }} as unique_key,
    file_name,
    line_number
from rejected
order by namespace, customer_id, channel, position, unique_key
