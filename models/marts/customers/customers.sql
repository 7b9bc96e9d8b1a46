with customers as (

    select * from {{ ref('stg_platform__customers') }}
    where customer_id is not null

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

contacts as (

    select
        namespace,
        customer_id,
        max(case when channel = 'email' then contact end) as email,
        max(case when channel = 'phone' then contact end) as phone
    from {{ ref('int_contacts_judged') }}
    where disposition = 'shipped'
    group by namespace, customer_id

)

select
    customers.namespace,
    customers.customer_id,
    contacts.email,
    contacts.phone,
    customers.email_consent,
    customers.email_consent_at,
    customers.sms_consent,
    customers.sms_consent_at,
    customers.attributes,
    customers.updated_at
from customers
inner join namespaces on customers.namespace = namespaces.namespace
left join contacts
    on customers.namespace = contacts.namespace
    and customers.customer_id = contacts.customer_id
