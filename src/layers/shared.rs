//! Where types are erased: a service behind one `Arc`. Cloning it is one counter; the services
//! inside are cloned only when a request really goes through them.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tower::{Service, ServiceExt};

use super::{Request, Response};

/// A boxed answer.
pub type BoxFuture<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

/// A service whose type is forgotten, cheap to clone, shared by all threads.
pub struct SharedService<E> {
    inner: Arc<dyn Call<E>>,
}

trait Call<E>: Send + Sync {
    fn call(&self, request: Request) -> BoxFuture<E>;
}

struct Erased<S>(S);

// === impl SharedService ===

impl<E: Send + 'static> SharedService<E> {
    /// Forgets the type of `service`.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Request, Response = Response, Error = E> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self { inner: Arc::new(Erased(service)) }
    }

    /// Sends a request through; waits until the services inside are ready for it.
    pub fn handle(&self, request: Request) -> BoxFuture<E> {
        self.inner.call(request)
    }
}

impl<E> Clone for SharedService<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E> std::fmt::Debug for SharedService<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedService").finish_non_exhaustive()
    }
}

impl<E: Send + 'static> Service<Request> for SharedService<E> {
    type Response = Response;
    type Error = E;
    type Future = BoxFuture<E>;

    // Readiness belongs to the clones made in `call`; there is nothing to wait for here.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> BoxFuture<E> {
        self.inner.call(request)
    }
}

impl<S, E> Call<E> for Erased<S>
where
    S: Service<Request, Response = Response, Error = E> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    E: Send + 'static,
{
    fn call(&self, request: Request) -> BoxFuture<E> {
        let mut service = self.0.clone();
        // Ours are always ready, and then nothing has to remember the request until they are.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Box::pin(service.call(request)),
            Poll::Ready(Err(error)) => Box::pin(std::future::ready(Err(error))),
            Poll::Pending => Box::pin(service.oneshot(request)),
        }
    }
}
